"""The verb `report`: finished runs side by side."""

from fusiform.cli.app import app

app.command(
    "fusiform.recipes.compare:compare",
    name="report",
    help="Set runs of encode side by side: several networks on one brain, as numbers, maps and target by target.",
)
