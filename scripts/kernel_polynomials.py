#!/usr/bin/env python3
"""Prints the polynomial coefficients of csrc/cpu/kernels_math.h. Needs mpmath."""
import mpmath as mp
import struct

mp.mp.dps = 40


def f32(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def show(name, function, interval, terms):
    coefficients, error = mp.chebyfit(function, interval, terms, error=True)
    print(f"{name}: fit error {mp.nstr(error, 3)}")
    print("  " + ", ".join(f"{f32(c):.9g}f" for c in coefficients) + "  (highest power first)")


# exp(r) = 1 + r + r² P(r), |r| <= ln(2)/2. The quotient's series near 0.
def exp_tail(r):
    return mp.nsum(lambda i: r**i / mp.factorial(i + 2), [0, 30])


show("exp tail", exp_tail, [-mp.log(2) / 2, mp.log(2) / 2], 5)


# erf(x) = x + x P(x²), |x| <= 1.
def erf_ratio(s):
    if s < mp.mpf(10) ** -20:
        return 2 / mp.sqrt(mp.pi) - 1
    x = mp.sqrt(s)
    return mp.erf(x) / x - 1


show("erf, small", erf_ratio, [0, 1], 7)
# erf(x) = 1 - exp(P(x)), 1 <= x <= 4; 1 beyond in float.
show("log erfc", lambda x: mp.log(mp.erfc(x)), [1, 4], 9)
ln2 = mp.log(2)
high = float(mp.floor(ln2 * 2**15) / 2**15)  # few bits: n * high is exact
print(f"ln 2 = {high:.9g}f + {f32(ln2 - high):.9g}f; log2 e = {f32(1 / ln2):.9g}f")
