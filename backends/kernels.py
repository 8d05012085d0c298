"""All kernels by name, each made from the plain function of that name in `backends.reference`.

    from backends import kernels

    y = kernels.conv2d(x, w, stride, padding)       # the selected backend's version

What a kernel means is said where its function stands. `backends.numba` and `backends.cupy` register
their versions when they are selected.
"""

from backends import reference
from backends.kernel import Kernel
from backends.precision import ProductKernel

add = Kernel(reference.elementwise.add)
relu = Kernel(reference.elementwise.relu)
relu_gradient = Kernel(reference.elementwise.relu_gradient)
elu = Kernel(reference.elementwise.elu)
elu_gradient = Kernel(reference.elementwise.elu_gradient)
biased_relu = Kernel(reference.elementwise.biased_relu)
biased_relu_gradient = Kernel(reference.elementwise.biased_relu_gradient)
biased_elu = Kernel(reference.elementwise.biased_elu)
biased_elu_gradient = Kernel(reference.elementwise.biased_elu_gradient)
sigmoid = Kernel(reference.elementwise.sigmoid)
gate = Kernel(reference.elementwise.gate)
gate_gradient = Kernel(reference.elementwise.gate_gradient)
dropout = Kernel(reference.elementwise.dropout)
gate_block = Kernel(reference.elementwise.gate_block)
gate_block_gradient = Kernel(reference.elementwise.gate_block_gradient)

matmul = ProductKernel(reference.matmul.matmul)
factor = Kernel(reference.matmul.factor)

conv2d = ProductKernel(reference.conv.conv2d)
conv2d_input_gradient = ProductKernel(reference.conv.conv2d_input_gradient)
conv2d_weight_gradient = ProductKernel(reference.conv.conv2d_weight_gradient)

causal_conv2d = ProductKernel(reference.causal_conv.causal_conv2d)
causal_conv2d_input_gradient = ProductKernel(reference.causal_conv.causal_conv2d_input_gradient)
causal_conv2d_weight_gradient = ProductKernel(reference.causal_conv.causal_conv2d_weight_gradient)

add_bias = Kernel(reference.batch_norm.add_bias)
sum_rows = Kernel(reference.batch_norm.sum_rows)
factor_and_sum = Kernel(reference.batch_norm.factor_and_sum)
add_biased = Kernel(reference.batch_norm.add_biased)
moments = Kernel(reference.batch_norm.moments)
normalize = Kernel(reference.batch_norm.normalize)
normalize_parameter_gradient = Kernel(reference.batch_norm.normalize_parameter_gradient)
normalize_input_gradient = Kernel(reference.batch_norm.normalize_input_gradient)
follow_moments = Kernel(reference.batch_norm.follow_moments)

causal_attention = Kernel(reference.attention.causal_attention)
causal_attention_gradient = Kernel(reference.attention.causal_attention_gradient)

nearest_code = Kernel(reference.quantize.nearest_code)
codebook_statistics = Kernel(reference.quantize.codebook_statistics)

mean_squared_error = Kernel(reference.loss.mean_squared_error)
mean_squared_error_gradient = Kernel(reference.loss.mean_squared_error_gradient)

cross_entropy = Kernel(reference.loss.cross_entropy)
cross_entropy_gradient = Kernel(reference.loss.cross_entropy_gradient)

logistic_mixture = Kernel(reference.logistic_mixture.logistic_mixture)
logistic_mixture_gradient = Kernel(reference.logistic_mixture.logistic_mixture_gradient)

adam_update = Kernel(reference.adam.adam_update)
unscale = Kernel(reference.adam.unscale)

sample_codes = Kernel(reference.sample.sample_codes)

prepare_weights = Kernel(reference.packing.prepare_weights)

affine = Kernel(reference.rows_above.affine)
prepare_rows_above = Kernel(reference.rows_above.prepare_rows_above)
add_rows_above = Kernel(reference.rows_above.add_rows_above)

affine_at = Kernel(reference.sampling_step.affine_at)
gated_at = Kernel(reference.sampling_step.gated_at)
attend_at = Kernel(reference.sampling_step.attend_at)
sample_at = Kernel(reference.sampling_step.sample_at)
embed_at = Kernel(reference.sampling_step.embed_at)
remember_at = Kernel(reference.sampling_step.remember_at)
advance = Kernel(reference.sampling_step.advance)
