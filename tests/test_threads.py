"""The pool of threads, and how many of them a call may use."""

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import joblib
import numpy as np
import pytest
import threadpoolctl
from arrays import random_case

import fastlogloss
from fastlogloss import _engine, _threads, log_loss
from fastlogloss._kernels import _pool

KERNELS = Path(fastlogloss.__file__).parent / "_kernels"
POSIX = pytest.mark.skipif(os.name == "nt", reason="of POSIX systems")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Programs that run in processes of their own: on as many threads as asked for, however
# few processors there are.
START = """
import ctypes, gc, mmap, os, signal, sys, threading, time, warnings
import numpy as np
import fastlogloss as fl
from fastlogloss import _engine, _threads
from fastlogloss._kernels import _pool
warnings.simplefilter("ignore")
_engine.threads_for = lambda nanoseconds: 3
rng = np.random.default_rng(0)
p = rng.random(1_000_000)
y = (rng.random(len(p)) < p).astype(np.uint8)
P = rng.dirichlet(np.ones(5), 50_000)
c = rng.integers(5, size=len(P))
expected = fl.log_loss(y, p), fl.log_loss(c, P)
def work():
    return fl.log_loss(y, p), fl.log_loss(c, P)
options = {"from_logits": True, "labels": [0, 1]}
def helpers():
    '''Names of the folders in /proc of the threads that Python does not know.'''
    known = {thread.native_id for thread in threading.enumerate()}
    return [f"/proc/self/task/{t}" for t in os.listdir("/proc/self/task")
            if int(t) not in known]
def with_memory(n, call):
    '''Call with labels, scores and room for a gradient, in memory that then goes.'''
    memory = mmap.mmap(-1, 17 * n)
    scores = np.frombuffer(memory, np.float64, n)
    out = np.frombuffer(memory, np.float64, n, 8 * n)
    labels = np.frombuffer(memory, np.uint8, n, 16 * n)
    call(labels, scores, out)
    del scores, labels, out
    memory.close()
"""


@pytest.fixture
def run_program(run_python):
    def run(code, **env):
        # One thread for OpenBLAS: helpers() is to find those of the pool alone.
        environment = {"OPENBLAS_NUM_THREADS": "1", **env}
        done = run_python("-c", START + textwrap.dedent(code), **environment)
        return done.stdout.split()

    return run


class TestNumber:
    """What users, machines and their keepers grant."""

    def test_threadpoolctl(self):
        with threadpoolctl.threadpool_limits(1):
            assert _threads.n_threads() == 1
        for n in (1, 2, 3):
            with threadpoolctl.threadpool_limits(n, user_api="openmp"):
                assert _pool.max_threads() == n

    def number(self, run_python, before="", **env):
        ask = "from fastlogloss._threads import n_threads; print(n_threads())"
        return int(run_python("-c", f"import os\n{before}\n{ask}", **env).stdout)

    @pytest.mark.parametrize("n", [1, 3])
    def test_openmp(self, run_python, n):
        assert self.number(run_python, OMP_NUM_THREADS=str(n)) == n
        assert self.number(run_python, OMP_THREAD_LIMIT="1", OMP_NUM_THREADS="3") == 1

    def test_own_variable(self, run_python):
        for own, openmp, expected in (("1", "3", 1), ("2", "3", 2), ("9", "3", 3)):
            env = {"FASTLOGLOSS_NUM_THREADS": own, "OMP_NUM_THREADS": openmp}
            assert self.number(run_python, **env) == expected
        assert self.number(run_python, FASTLOGLOSS_NUM_THREADS="", **env_of(2)) == 2

    @pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", " "])
    def test_own_variable_that_is_no_number(self, monkeypatch, value):
        monkeypatch.setenv("FASTLOGLOSS_NUM_THREADS", value)
        with pytest.raises(ValueError, match="FASTLOGLOSS_NUM_THREADS must be a whole"):
            _threads.n_threads()

    def test_own_variable_at_the_import(self, run_python):
        done = run_python(
            "-c", "import fastlogloss", check=False, FASTLOGLOSS_NUM_THREADS="two"
        )
        assert "FASTLOGLOSS_NUM_THREADS must be a whole number" in done.stderr

    @pytest.mark.parametrize("value", ["two", "0", " "])
    def test_variable_of_openmp_that_is_no_number(self, run_python, value):
        env = {"OMP_NUM_THREADS": value, "LOKY_MAX_CPU_COUNT": "1"}
        assert self.number(run_python, **env) == 1

    @pytest.mark.parametrize(
        ("openmp", "expected"), [("1", 1), ("2,4", 2), ("9" * 20, 3), ("two", 3)]
    )
    def test_without_openmp(self, monkeypatch, openmp, expected):
        monkeypatch.setattr(_pool, "HAS_OPENMP", False)
        monkeypatch.setattr(_pool, "max_threads", lambda: 2**20)
        monkeypatch.setattr(_threads, "_granted_processors", lambda: 3)
        monkeypatch.setenv("OMP_NUM_THREADS", openmp)
        monkeypatch.setenv("FASTLOGLOSS_NUM_THREADS", "3")
        assert _threads.n_threads() == expected

    @pytest.mark.parametrize("value", ["", "all", "1.5", "0", "-2"])
    def test_variable_of_joblib_that_is_no_number(self, monkeypatch, value):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
        expected = _threads.n_threads()
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", value)
        assert _threads.n_threads() == expected
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
        assert _threads.n_threads() == 1

    def test_loky_workers(self):
        """As many workers as processors: one thread for each."""
        n_jobs = max(2, joblib.cpu_count())
        with joblib.parallel_config("loky"):
            found = joblib.Parallel(n_jobs=n_jobs)(
                joblib.delayed(_threads.n_threads)() for _ in range(n_jobs)
            )
        assert set(found) == {1}

    @pytest.mark.skipif(
        not hasattr(os, "sched_setaffinity"), reason="no affinity masks here"
    )
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_affinity(self, run_python, when):
        pin = "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])"
        start = "import fastlogloss; " if when == "after" else ""
        assert self.number(run_python, f"{start}{pin}") == 1

    @pytest.mark.parametrize(
        ("groups", "files", "expected"),
        [
            ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
            ("0::/\n", {"cpu.max": "max 100000\n"}, np.inf),
            ("0::/a/b\n", {"a/b/cpu.max": "max 1000", "a/cpu.max": "3000 1000"}, 3),
            ("0::/host/name\n", {"cpu.max": "1000 1000"}, 1),
            (
                "4:cpu,cpuacct:/x\n0::/\n",
                {"cpu/x/cpu.cfs_quota_us": "50", "cpu/x/cpu.cfs_period_us": "100"},
                1,
            ),
            (
                "4:cpu:/x\n",
                {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100"},
                np.inf,
            ),
            ("0::/\n", {"cpu.max": "nonsense"}, np.inf),
            ("nonsense\n0::/\xe9\n", {"cpu.max": "1000 1000"}, 1),
            ("0::/\n", {"cpu.max": "100 0"}, np.inf),
            (None, {}, np.inf),
        ],
    )
    def test_control_groups(self, tmp_path, monkeypatch, groups, files, expected):
        listed = tmp_path / "cgroup"
        if groups is not None:
            listed.write_bytes(groups.encode("latin-1"))
        for name, text in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found = list(_threads._quota_files(listed, tmp_path / "root"))
        monkeypatch.setattr(_threads, "_quota_files", lambda: found)
        assert _threads._quota.__wrapped__() == expected

    def test_grows_with_the_work(self, monkeypatch):
        monkeypatch.setattr(_threads, "n_threads", lambda: 4)
        found = [_threads.threads_for(us * 1000) for us in (1, 79, 81, 121, 161, 1e6)]
        assert found == [1, 1, 2, 3, 4, 4]

    def test_short_input_starts_none(self, monkeypatch):
        def refuse():
            raise AssertionError("threads for a few rows")

        monkeypatch.setattr(_threads, "n_threads", refuse)
        codes, p, w = random_case(3000, 3)
        log_loss(codes, p, sample_weight=w)


def env_of(n):
    return {"OMP_NUM_THREADS": str(n)}


class TestPool:
    @POSIX
    @pytest.mark.parametrize("sanitizer", ["", "thread", "address,undefined"])
    def test_under_stress(self, tmp_path, sanitizer):
        """Five callers, each piece once, no slot twice; forks, unless a sanitizer."""
        compiler = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0])
        assert compiler, "the compiler that built Python, or cc"
        program = tmp_path / "stress"
        flags = [f"-fsanitize={sanitizer}"] if sanitizer else []
        subprocess.run(
            [
                *(compiler, "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"),
                *("-D_GNU_SOURCE", f"-DFORKS={int(not sanitizer)}", *flags),
                *("-I", str(KERNELS), "-o", str(program)),
                str(Path(__file__).with_name("pool_stress.c")),
            ],
            check=True,
            timeout=60,
        )
        done = subprocess.run(
            [program], check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout == "5 helpers\n"

    @LINUX
    def test_helpers_block_signals(self, run_program):
        found = run_program(
            """
            work()
            for folder in helpers():
                for line in open(f"{folder}/status"):
                    if line.startswith("SigBlk"):
                        print(line.split()[1])
            """
        )
        # All but those that nobody can block, the two of the C library, and those of
        # faults: SIGILL, SIGBUS, SIGFPE, SIGSEGV.
        blocked = {int(mask, 16) | 0x1_8004_0100 | 0x4C8 for mask in found}
        assert len(found) == 2
        assert blocked == {0xFFFF_FFFF_FFFF_FFFF}

    @LINUX
    def test_helpers_go_where_the_caller_may(self, run_program):
        found = run_program(
            """
            everywhere = os.sched_getaffinity(0)
            masks = []
            for wanted in ({min(everywhere)}, {max(everywhere)}, {min(everywhere)}):
                os.sched_setaffinity(0, wanted)
                for _ in range(2000):
                    work()
                    tids = [int(folder.split("/")[-1]) for folder in helpers()]
                    if all(os.sched_getaffinity(tid) == wanted for tid in tids):
                        break
                else:
                    print("not", wanted)
            print("done")
            """
        )
        assert found == ["done"]

    @POSIX
    @pytest.mark.parametrize("busy", [0, 2])
    def test_nobody_reads_after_the_call(self, run_program, busy):
        """The memory is given back at once; a late helper would end the process."""
        found = run_program(
            f"""
            pids = []
            for _ in range({busy}):
                pid = os.fork()
                if pid == 0:
                    end = time.time() + 20
                    while time.time() < end:
                        pass
                    os._exit(0)
                pids.append(pid)
            def loss(labels, scores, out):
                fl.log_loss(labels, scores, labels=[0, 1])
            def gradient(labels, scores, out):
                fl.log_loss_gradient(labels, scores, **options, out=out)
            for _ in range(150):
                with_memory(300_000, loss)
                with_memory(300_000, gradient)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            print("done", _pool.n_helpers())
            """
        )
        assert found == ["done", "2"]

    @POSIX
    def test_nobody_writes_after_ctrl_c(self, run_program):
        found = run_program(
            """
            def interrupt(*args):
                raise KeyboardInterrupt
            signal.signal(signal.SIGALRM, interrupt)
            interrupted = []
            def call(labels, scores, out):
                try:  # the alarm may come anywhere in here
                    signal.setitimer(signal.ITIMER_REAL, 0.01 * (i + 1))
                    fl.log_loss_gradient(labels, scores, **options, out=out)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    interrupted.append(i)
            for i in range(8):
                with_memory(40_000_000, call)
            print(len(interrupted) > 0, work() == expected)
            """
        )
        assert found == ["True", "True"]

    def test_many_callers(self, run_program):
        found = run_program(
            """
            results = []
            def call():
                for _ in range(20):
                    results.append(work())
            callers = [threading.Thread(target=call) for _ in range(8)]
            for caller in callers: caller.start()
            for caller in callers: caller.join()
            print(len(results), set(results) == {expected}, _pool.n_helpers())
            """
        )
        assert found == ["160", "True", "2"]

    @POSIX
    @pytest.mark.parametrize("size", ["16k", "1", "huge"])
    def test_stack_of_openmp(self, run_program, size):
        calls = """
            fl.LogLoss(y).many(np.stack([p] * 7))
            fl.log_loss_gradient_hessian(y, p, from_logits=True)
            fl.log_loss_gradient(c, P, from_logits=True)
            print(work() == expected)
            """
        assert run_program(calls, OMP_STACKSIZE=size) == ["True"]

    @POSIX
    def test_small_stack_of_the_caller(self, run_program):
        found = run_program(
            """
            threading.stack_size(1 << 17)
            caller = threading.Thread(target=lambda: print(work() == expected))
            caller.start()
            caller.join()
            """
        )
        assert found == ["True"]

    @LINUX
    def test_process_that_cannot_start_threads(self, run_python):
        code = START.replace("expected =", "limit(); expected =").replace(
            "def work():",
            "_engine.threads_for = lambda ns: 1\none = fl.log_loss(y, p)\ndef work():",
            1,
        )
        limit = """
import resource
def limit():
    if os.getuid() == 0:
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    try:
        threading.Thread(target=print).start()
    except RuntimeError:
        return
    raise AssertionError("threads can be started")
"""
        code = code.replace("warnings.simplefilter", f"{limit}\nwarnings.simplefilter")
        code += "print(expected[0] == one, _pool.n_helpers())"
        done = run_python("-c", code, OPENBLAS_NUM_THREADS="1")
        assert done.stdout.split() == ["True", "0"]

    @POSIX
    def test_end_of_the_interpreter(self, run_program):
        """With a daemon in the midst of a call, and helpers asleep."""
        found = run_program(
            """
            def forever():
                while True:
                    work()
            threading.Thread(target=forever, daemon=True).start()
            time.sleep(0.2)
            print("done")
            """
        )
        assert found == ["done"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
class TestFork:
    """The threads of a pool do not survive a fork: a child has a pool of its own."""

    CHILD = """
            def check():
                good = work() == expected and _pool.n_helpers() == 2
                return 0 if good else 9
            """

    def test_child_and_its_child(self, run_program):
        found = run_program(
            self.CHILD
            + """
            print(check())
            pid = os.fork()
            if pid == 0:
                if _pool.n_helpers():
                    os._exit(8)
                inner = os.fork()
                if inner == 0:
                    os._exit(check())
                _, status = os.waitpid(inner, 0)
                os._exit(check() or os.waitstatus_to_exitcode(status))
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), check())
            """
        )
        assert found == ["0", "0", "0"]

    def test_behind_the_back_of_python(self, run_program):
        found = run_program(
            self.CHILD
            + """
            libc = ctypes.PyDLL(None)
            pid = libc.fork()
            if pid == 0:
                os._exit(check())
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), check())
            """
        )
        assert found == ["0", "0"]

    def test_during_calls(self, run_program):
        found = run_program(
            self.CHILD
            + """
            stop = threading.Event()
            def forever():
                while not stop.is_set():
                    work()
            callers = [threading.Thread(target=forever) for _ in range(2)]
            for caller in callers: caller.start()
            codes = []
            for _ in range(20):
                pid = os.fork()
                if pid == 0:
                    os._exit(check())
                _, status = os.waitpid(pid, 0)
                codes.append(os.waitstatus_to_exitcode(status))
            stop.set()
            for caller in callers: caller.join()
            print(set(codes), check())
            """
        )
        assert found == ["{0}", "0"]

    @pytest.mark.parametrize("backend", ["multiprocessing", "loky", "threading"])
    def test_joblib(self, run_python, backend, tmp_path):
        program = tmp_path / "program.py"
        program.write_text(
            START
            + textwrap.dedent(
                f"""
                if __name__ == "__main__":
                    import joblib
                    with joblib.parallel_config("{backend}"):
                        found = joblib.Parallel(n_jobs=2)(
                            joblib.delayed(fl.log_loss)(y, p) for _ in range(4))
                    print(set(found) == {{expected[0]}})
                """
            )
        )
        assert run_python(str(program)).stdout.split() == ["True"]


def test_only_the_pool_is_linked_with_openmp():
    """It is asked for its number alone: no region of it is entered anywhere."""
    for path in KERNELS.iterdir():
        if path.suffix in (".pyx", ".pxi", ".pxd"):
            text = path.read_text(encoding="utf-8")
            assert "prange" not in text
            assert "omp" not in text.split() or path.stem == "_pool"


def test_threads_change_no_bit(rng):
    p = rng.random(200_000)
    y = (rng.random(len(p)) < p).astype(np.uint8)
    found = set()
    for n in (1, 2, 3, 5, 17):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_engine, "threads_for", lambda nanoseconds, n=n: n)
            found.add(log_loss(y, p))
    assert len(found) == 1
