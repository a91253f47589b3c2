"""Exact values from integers, so that Go and Python hold the same bits and no file has to store them.

    stream(name)    = FNV-1a, 32 bits, of the name's UTF-8 bytes
    hash32(s, i)    = murmur3's 32-bit finalizer of (i * 0x9E3779B9 + s) mod 2^32:
                      x ^= x >> 16; x *= 0x85EBCA6B; x ^= x >> 13; x *= 0xC2B2AE35; x ^= x >> 16
    unit(s, i)      = (hash32(s, i) >> 8) / 2^24              in [0, 1), exact in float32
    signed(s, i)    = 2 * unit(s, i) - 1                      in [-1, 1), exact in float32
    uniform(s, i)   = f32(low + (high - low) * unit) computed in float64 and rounded once
    scaled(s, i)    = f32(signed * f32(limit))                one float32 product

i is the element's index in row-major order. A tensor's stream is the stream of its full name, for example
"hidden.kernel". limit is computed in float64 and rounded to float32.
"""
import numpy as np


def stream(name):
    h = 0x811C9DC5
    for b in name.encode():
        h = ((h ^ b) * 0x01000193) & 0xFFFFFFFF
    return h


def hash32(name, n):
    """The hashes of elements 0..n-1 of the named stream, as uint32."""
    x = np.arange(n, dtype=np.uint64) * 0x9E3779B9 + stream(name)
    x &= 0xFFFFFFFF
    x ^= x >> 16
    x = (x * 0x85EBCA6B) & 0xFFFFFFFF
    x ^= x >> 13
    x = (x * 0xC2B2AE35) & 0xFFFFFFFF
    x ^= x >> 16
    return x.astype(np.uint32)


def unit(name, shape):
    return ((hash32(name, int(np.prod(shape))) >> 8).astype(np.float32) / np.float32(2**24)).reshape(shape)


def signed(name, shape):
    return np.float32(2) * unit(name, shape) - np.float32(1)


def uniform(name, shape, low, high):
    return (low + (high - low) * unit(name, shape).astype(np.float64)).astype(np.float32)


def scaled(name, shape, limit):
    return signed(name, shape) * np.float32(limit)


def glorot(name, shape):
    """A dense kernel [in, out] or a convolution kernel [h, w, in, out] at glorot-uniform scale."""
    field = int(np.prod(shape[:-2]))
    return scaled(name, shape, np.sqrt(6.0 / (field * shape[-2] + field * shape[-1])))


def he(name, shape):
    """The same at he-uniform scale: limit sqrt(6 / fan_in)."""
    return scaled(name, shape, np.sqrt(6.0 / (int(np.prod(shape[:-2])) * shape[-2])))


def short(name, shape, scale=2.0, denominator=64):
    """Small test values: multiples of 1/denominator in [-scale, scale), never 0, with short decimals."""
    steps = int(2 * scale * denominator)
    k = (hash32(name, int(np.prod(shape))).astype(np.int64) >> 8) % steps - steps // 2
    k = np.where(k == 0, 1, k)
    return (k / denominator).astype(np.float32).reshape(shape)


def distinct(name, shape, denominator=32):
    """A permutation of multiples of 1/denominator around 0: no ties, for max and pooling."""
    n = int(np.prod(shape))
    rank = np.argsort(np.argsort(hash32(name, n), kind="stable"), kind="stable")
    return ((2 * (rank - n // 2) + 1) / (2 * denominator)).astype(np.float32).reshape(shape)
