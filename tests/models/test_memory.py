import numpy as np
import pytest
import torch

from fusiform.models.memory import memory_available

CPU, GIB = torch.device("cpu"), 2**30
MEMINFO = "MemTotal: 100000000 kB\nMemAvailable: 67108864 kB\nHugePages_Total: 0\n"  # 64 GiB are free


def machine(root, groups, files, meminfo=MEMINFO):
    """The files of a Linux kernel: this process' control groups, and numbers of theirs."""
    for path, text in {"proc/meminfo": meminfo, "proc/self/cgroup": groups, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def second(folder, limit, used, cache=0):
    """A control group of version 2."""
    parts = {"max": limit, "current": used, "stat": f"anon {used - cache}\ninactive_file {cache}\nactive_file 5"}
    return {f"sys/fs/cgroup{folder}/memory.{name}": f"{part}\n" for name, part in parts.items()}


def first(folder, limit, used, cache=0):
    """A control group of version 1."""
    parts = {"limit_in_bytes": limit, "usage_in_bytes": used, "stat": f"cache 1\ntotal_inactive_file {cache}"}
    return {f"sys/fs/cgroup/memory{folder}/memory.{name}": f"{part}\n" for name, part in parts.items()}


def test_what_the_machine_has_free_is_found_where_no_group_limits_it(tmp_path):
    assert memory_available(CPU, machine(tmp_path, "0::/user\n", second("/user", "max", GIB))) == 64 * GIB
    assert 2**20 < memory_available(CPU) < 2**50


def test_a_container_shows_its_own_limit_at_the_root(tmp_path):
    assert memory_available(CPU, machine(tmp_path, "0::/\n", second("", 8 * GIB, 3 * GIB))) == 5 * GIB


def test_page_cache_is_not_used_memory(tmp_path):
    full = second("", 8 * GIB, 8 * GIB - 4096, 6 * GIB)  # a large file was just read
    assert memory_available(CPU, machine(tmp_path, "0::/\n", full)) == 6 * GIB + 4096


@pytest.mark.parametrize("tight", ["/slurm", "/slurm/job_7", "/slurm/job_7/step_0"])
def test_the_tightest_of_nested_groups_counts(tmp_path, tight):
    folders = ["/slurm", "/slurm/job_7", "/slurm/job_7/step_0"]
    groups = [second(one, 4 * GIB if one == tight else "max", GIB) for one in folders]
    files = {name: text for group in groups for name, text in group.items()}
    assert memory_available(CPU, machine(tmp_path, "0::/slurm/job_7/step_0\n", files)) == 3 * GIB


@pytest.mark.parametrize("tight", ["", "/slurm", "/slurm/job_7"])
def test_groups_of_version_1_are_read(tmp_path, tight):
    none = 9223372036854771712
    groups = [first(one, 4 * GIB if one == tight else none, 2 * GIB, GIB) for one in ("", "/slurm", "/slurm/job_7")]
    files = {name: text for group in groups for name, text in group.items()}
    lines = "5:devices:/\n4:cpuset,memory:/slurm/job_7\n1:name=systemd:/slurm/job_7\n0::/\n"
    assert memory_available(CPU, machine(tmp_path, lines, files)) == 3 * GIB


def test_a_group_that_is_mounted_as_the_root_is_found(tmp_path):
    files = first("", 4 * GIB, GIB)  # listed by its place on the host, which the container does not see
    assert memory_available(CPU, machine(tmp_path, "4:memory:/docker/8a7b\n", files)) == 3 * GIB
    assert memory_available(CPU, machine(tmp_path, "4:memory:/../..\n", files)) == 3 * GIB


def test_other_limits_do_not_count(tmp_path):
    files = {f"sys/fs/cgroup/{one}/a/memory.max": "1\n" for one in ("cpu", "pids")}
    assert memory_available(CPU, machine(tmp_path, "3:cpu,cpuacct:/a\n2:pids:/a\n", files)) == 64 * GIB


def test_nothing_is_free_where_a_group_is_over_its_limit(tmp_path):
    assert memory_available(CPU, machine(tmp_path, "0::/\n", second("", GIB, 2 * GIB))) == 0


def test_without_the_kernel_files_the_system_is_asked(tmp_path):
    assert 2**20 < memory_available(CPU, tmp_path) < 2**50


def test_blocks_that_torch_keeps_on_the_gpu_are_free(monkeypatch):
    told = {"mem_get_info": (3 * GIB, 80 * GIB), "memory_reserved": 70 * GIB, "memory_allocated": 4 * GIB}
    for name, value in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert memory_available(torch.device("cuda")) == 69 * GIB


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_as_free_after_its_tensors_as_before():
    device = torch.device("cuda")
    torch.zeros(1, device=device)
    before = memory_available(device)
    held = torch.zeros(GIB // 4, device=device)
    assert np.isclose(before - memory_available(device), GIB, rtol=0.1)
    del held
    assert np.isclose(memory_available(device), before, rtol=0.01)
