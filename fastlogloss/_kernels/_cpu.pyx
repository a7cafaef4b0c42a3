# What this processor can run. Compiled for the baseline, imported before any variant:
# the init code of a variant may itself hold its instructions.
cdef extern from *:
    """
    #if (defined(__x86_64__) || defined(__amd64__)) && defined(__GNUC__)
    #include <cpuid.h>
    static int cpu_converts_halves(void)
    {
        /* F16C, by its bit: older compilers have no name for it. */
        unsigned a, b, c, d;
        return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
    }
    static int cpu_runs_v3(void)
    {
        /* The level also asks for lzcnt and movbe, which every processor with AVX2
           has, and which older compilers cannot ask for by name. */
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
            && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")
            && cpu_converts_halves();
    }
    static int cpu_runs_v4(void)
    {
        /* Of the processors of that level, those without VBMI2 (before Ice Lake and
           Zen 4) slow down for vectors of 512 bits. */
        return cpu_runs_v3() && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
            && __builtin_cpu_supports("avx512vbmi2");
    }
    #else
    static int cpu_runs_v3(void) { return 0; }
    static int cpu_runs_v4(void) { return 0; }
    #endif
    """
    int cpu_runs_v3() nogil
    int cpu_runs_v4() nogil


def supports_v3():
    """Whether the processor (and its operating system) runs x86-64-v3 code."""
    return bool(cpu_runs_v3())


def supports_v4():
    """Whether it runs x86-64-v4 code, and is quicker with it."""
    return bool(cpu_runs_v4())
