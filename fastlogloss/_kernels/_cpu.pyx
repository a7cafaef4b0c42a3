# What this processor can run. Compiled for the baseline, imported before any variant:
# the init code of a variant may itself hold its instructions.
cdef extern from *:
    """
    #if (defined(__x86_64__) || defined(__amd64__)) && defined(__GNUC__)
    static int cpu_runs_v3(void)
    {
        /* The level also asks for lzcnt and movbe, which every processor with AVX2
           has, and which older compilers cannot ask for by name. */
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
            && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    }
    #else
    static int cpu_runs_v3(void) { return 0; }
    #endif
    """
    int cpu_runs_v3() nogil


def supports_v3():
    """Whether the processor (and its operating system) runs x86-64-v3 code."""
    return bool(cpu_runs_v3())
