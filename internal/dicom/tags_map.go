package dicom

// Tags of the modules Parametric Map Image, Floating Point Image Pixel and Real World
// Value Mapping, PS3.3 §C.8.32, §C.7.6.24 and §C.7.6.16.2.11.
const (
	PixelPresentation                         Tag = 0x00089205
	ContentQualification                      Tag = 0x00189004
	FloatPixelPaddingValue                    Tag = 0x00280122
	FloatPixelPaddingRangeLimit               Tag = 0x00280124
	ParametricMapFrameTypeSequence            Tag = 0x00409092
	LUTLabel                                  Tag = 0x00409210
	RealWorldValueLastValueMapped             Tag = 0x00409211
	DoubleFloatRealWorldValueLastValueMapped  Tag = 0x00409213
	DoubleFloatRealWorldValueFirstValueMapped Tag = 0x00409214
	RealWorldValueFirstValueMapped            Tag = 0x00409216
	QuantityDefinitionSequence                Tag = 0x00409220
	RealWorldValueIntercept                   Tag = 0x00409224
	RealWorldValueSlope                       Tag = 0x00409225
)
