"""Where rows are kept: blocks of files behind a manifest, in a folder or at any address."""

from fusiform.features.store.entry import Entry
from fusiform.features.store.feature_store import FeatureStore, digest_of, key_of

__all__ = ["Entry", "FeatureStore", "digest_of", "key_of"]
