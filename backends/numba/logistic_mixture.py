"""Discretised mixtures of logistics on the processor, vector by vector, in float64."""

import math

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, part, prange
from backends.reference.logistic_mixture import LOWEST_LOG_SCALE
from backends.reference.quantize import require_codes


@kernels.logistic_mixture.version("numba")
def logistic_mixture(parameters, targets, components, bins):
    require_codes(targets, bins)
    losses = np.empty(len(parameters), parameters.dtype)
    arrays = (np.ascontiguousarray(parameters), np.ascontiguousarray(targets))
    _loss_loop(*arrays, components, bins, losses)
    return losses


@kernels.logistic_mixture_gradient.version("numba")
def logistic_mixture_gradient(parameters, targets, d_losses, components, bins):
    require_codes(targets, bins)
    d_parameters = np.empty(parameters.shape, parameters.dtype)
    arrays = (np.ascontiguousarray(parameters), np.ascontiguousarray(targets))
    _gradient_loop(*arrays, np.ascontiguousarray(d_losses), components, bins, d_parameters)
    return d_parameters


@part
def log_sigmoid(u):
    """log S(u), for compiled loops."""
    return min(u, 0.0) - math.log1p(math.exp(-abs(u)))


@part
def sigmoid(u):
    """S(u), for compiled loops."""
    decay = math.exp(-abs(u))
    return (1.0 if u >= 0 else decay) / (1 + decay)


@part
def add_shifts(means, row, target, d, components, first, bins):
    """means (K,) += sum over j < d of c_djk x_j; the coefficients of d begin at row[first]."""
    for j in range(d):
        x = target[j] * (2 / (bins - 1)) - 1
        for k in range(components):
            means[k] += row[first + j * components + k] * x


@part
def log_bin(centred, log_scale, target, bins):
    """log(S(upper) - S(lower)) of one number in one component."""
    inverse, half = math.exp(-max(log_scale, LOWEST_LOG_SCALE)), 1 / (bins - 1)
    total = 0.0
    if target < bins - 1:
        total += log_sigmoid((centred + half) * inverse)
    if target > 0:
        total += log_sigmoid((half - centred) * inverse)
    if 0 < target < bins - 1:
        total += math.log(-math.expm1(-2 * half * inverse))
    return total


@part
def likelihoods_of(row, target, components, bins, centred, likelihoods):
    """Fill centred (D, K), x - mean, and likelihoods (K,), log p(x | component)."""
    dimensions = len(target)
    scales = components * (1 + dimensions)
    first = components * (1 + 2 * dimensions)
    likelihoods[:] = 0
    for d in range(dimensions):
        means = centred[d]
        for k in range(components):
            means[k] = row[components * (1 + d) + k]
        add_shifts(means, row, target, d, components, first, bins)
        first += d * components
        x = target[d] * (2 / (bins - 1)) - 1
        for k in range(components):
            means[k] = x - means[k]
            likelihoods[k] += log_bin(means[k], row[scales + d * components + k], target[d], bins)


@part
def log_sum(values, added):
    """log(sum(e^(values + added))) of two arrays (K,)."""
    peak = values[0] + added[0]
    for k in range(1, len(added)):
        peak = max(peak, values[k] + added[k])
    total = 0.0
    for k in range(len(added)):
        total += math.exp(values[k] + added[k] - peak)
    return math.log(total) + peak


@compiled
def _loss_loop(parameters, targets, components, bins, losses):
    for n in prange(len(parameters)):
        row, target = parameters[n], targets[n]
        centred = np.empty((len(target), components))
        likelihoods, nothing = np.empty(components), np.zeros(components)
        likelihoods_of(row, target, components, bins, centred, likelihoods)
        losses[n] = log_sum(row, nothing) - log_sum(row, likelihoods)


@compiled
def _gradient_loop(parameters, targets, d_losses, components, bins, d_parameters):
    dimensions, half = targets.shape[1], 1 / (bins - 1)
    scales = components * (1 + dimensions)
    for n in prange(len(parameters)):
        row, target, gradient = parameters[n], targets[n], d_parameters[n]
        centred = np.empty((dimensions, components))
        likelihoods, nothing = np.empty(components), np.zeros(components)
        likelihoods_of(row, target, components, bins, centred, likelihoods)
        prior_sum, posterior_sum = log_sum(row, nothing), log_sum(row, likelihoods)
        d_means = np.empty(components)
        first = components * (1 + 2 * dimensions)
        for k in range(components):
            posterior = math.exp(row[k] + likelihoods[k] - posterior_sum)
            gradient[k] = (math.exp(row[k] - prior_sum) - posterior) * d_losses[n]
            likelihoods[k] = -posterior * d_losses[n]  # from here on: its cotangent
        for d in range(dimensions):
            for k in range(components):
                log_scale = row[scales + d * components + k]
                inverse = math.exp(-max(log_scale, LOWEST_LOG_SCALE))
                upper = (centred[d, k] + half) * inverse
                lower = (centred[d, k] - half) * inverse
                from_above = sigmoid(-upper) if target[d] < bins - 1 else 0.0
                from_below = sigmoid(lower) if target[d] > 0 else 0.0
                width = 0.0
                if 0 < target[d] < bins - 1:
                    delta = 2 * half * inverse
                    width = delta * math.exp(-delta) / -math.expm1(-delta)
                slope = from_below * lower - from_above * upper - width
                d_means[k] = likelihoods[k] * (from_below - from_above) * inverse
                gradient[components * (1 + d) + k] = d_means[k]
                inside = log_scale >= LOWEST_LOG_SCALE
                gradient[scales + d * components + k] = likelihoods[k] * slope if inside else 0.0
            for j in range(d):
                x = target[j] * (2 / (bins - 1)) - 1
                for k in range(components):
                    gradient[first + j * components + k] = d_means[k] * x
            first += d * components
