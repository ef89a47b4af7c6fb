package graph

import (
	"fmt"
	"slices"
	"strings"
)

// operators lists ONNX's own operators by the operator set that brought them,
// and those from before that ONNX Runtime still knows. Sets above newest are not
// listed, and nothing is said of networks that ask for them.
var operators = map[int64]string{
	1: "Abs Add Affine And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv " +
		"ConvTranspose Crop DepthToSpace Div Dropout DynamicSlice Elu Equal Exp Flatten Floor GRU Gather Gemm " +
		"GlobalAveragePool GlobalLpPool GlobalMaxPool Greater HardSigmoid Hardmax Identity If ImageScaler " +
		"InstanceNormalization LRN LSTM LayerNormalization LeakyRelu Less Log LogSoftmax Loop LpNormalization LpPool " +
		"MatMul Max MaxPool MaxRoiPool Mean MeanVarianceNormalization Min Mul Neg Not Or PRelu Pad ParametricSoftplus " +
		"Pow RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reciprocal ReduceL1 ReduceL2 " +
		"ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape " +
		"ScaledTanh Selu Shape Sigmoid SimplifiedLayerNormalization Size Slice Softmax Softplus Softsign SpaceToDepth " +
		"Split Sqrt Squeeze Sub Sum Tanh ThresholdedRelu Tile TopK Transpose Unsqueeze Upsample Xor",
	7: "Acos Asin Atan Cos Multinomial Sin Tan",
	8: "Expand Scan",
	9: "Acosh Asinh Atanh Compress ConstantOfShape Cosh Erf EyeLike IsNaN MaxUnpool NonZero OneHot Scatter Shrink Sign " +
		"Sinh TfIdfVectorizer Where",
	10: "ConvInteger DequantizeLinear IsInf MatMulInteger Mod NonMaxSuppression QLinearConv QLinearMatMul " +
		"QuantizeLinear Resize ReverseSequence RoiAlign StringNormalizer",
	11: "BitShift ConcatFromSequence CumSum Det DynamicQuantizeLinear GatherElements GatherND Range Round " +
		"ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert " +
		"SequenceLength SplitToSequence Unique",
	12: "Celu Einsum GreaterOrEqual LessOrEqual NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss",
	14: "HardSwish Trilu",
	15: "Bernoulli CastLike Optional OptionalGetElement OptionalHasElement",
	16: "GridSample",
	17: "BlackmanWindow DFT HammingWindow HannWindow MelWeightMatrix STFT SequenceMap",
	18: "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im GroupNormalization Mish",
	19: "DeformConv",
	20: "AffineGrid Gelu ImageDecoder RegexFullMatch StringConcat StringSplit",
	23: "Attention RMSNormalization RotaryEmbedding",
	24: "Swish TensorScatter",
}

// newest is the last operator set whose operators are listed.
const newest = 24

// unknown gives those of the operators that an operator set does not have, each
// with the set that it needs, if any has it.
func unknown(used []string, opset int64) []string {
	var all []string
	for _, op := range used {
		first := int64(0)
		for since, list := range operators {
			if slices.Contains(strings.Fields(list), op) {
				first = since
			}
		}
		switch {
		case first == 0 && opset <= newest:
			all = append(all, op)
		case first > opset && opset > 0:
			all = append(all, fmt.Sprintf("%s (from operator set %d on)", op, first))
		}
	}
	return all
}
