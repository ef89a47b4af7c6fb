package findings_test

import (
	"varde/models/modelcard"
	"varde/study"
)

// Codes of the tests' own.
var (
	nodule  = study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}
	mitosis = study.Code{Value: "MITOSIS", Scheme: "99TEST", Meaning: "Mitotic figure"}
	lesion  = study.Code{Value: "LESION", Scheme: "99TEST", Meaning: "Lesion"}
	density = study.Code{Value: "MEAN", Scheme: "99TEST", Meaning: "Mean brightness"}
	unit    = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
)

// mgCard is of a model that measures the brightness of an image and finds what is
// brighter than half.
func mgCard() modelcard.Card {
	return modelcard.Card{
		ID: "mg", Version: "1", Name: "MG test", SHA256: study.Hash{3}, Hash: study.Hash{4},
		Input: modelcard.Input{Name: "x", Kind: study.Images, Type: "float32", Layout: "NCHW", Values: "unit"},
		Output: []modelcard.Output{
			{Name: "mean", Role: "scalar", Aggregate: "mean", Measure: density, Unit: unit},
			{Name: "map", Role: "map"},
		},
		Find: &modelcard.Find{Map: "map", Threshold: 0.5, What: nodule},
		Flag: modelcard.Flag{By: "mean", Flagged: 0.5, Uncertain: 0.25},
	}
}

// smCard is of a model that measures the brightness of patches.
func smCard() modelcard.Card {
	return modelcard.Card{
		ID: "sm", Version: "1", Name: "SM test", SHA256: study.Hash{5}, Hash: study.Hash{6},
		Input: modelcard.Input{Name: "x", Kind: study.Patches, Type: "uint8", Layout: "NHWC", Values: "rgb", Width: 16, Height: 16, MicronsPerPixel: 0.5},
		Output: []modelcard.Output{
			{Name: "mean", Role: "scalar", Aggregate: "top", Measure: density, Unit: unit},
		},
		Find: &modelcard.Find{Scalar: "mean", Threshold: 100, Max: 3, What: nodule},
		Flag: modelcard.Flag{By: "mean", Flagged: 100},
	}
}

// boxCard is of a model that detects boxes on patches of 16 pixels.
func boxCard(overlap float64) modelcard.Card {
	c := smCard()
	c.ID, c.Input.Overlap = "boxes", overlap
	c.Output = []modelcard.Output{{Name: "boxes", Role: "boxes", Format: "xyxy"}, {Name: "scores", Role: "scores", Probability: true}}
	c.Find = &modelcard.Find{Objects: "boxes", Scores: "scores", Threshold: 0.5, What: mitosis, Max: 1000}
	c.Count = &modelcard.Count{WindowMM2: 0.0004, Hotspot: mitosis, Total: lesion, Density: density}
	c.Flag = modelcard.Flag{By: modelcard.FlagHotspot, Flagged: 3, Uncertain: 2}
	return c
}

// squareLevel is one level of a slide, of so many frames of 32 × 32 pixels across
// and down, each pixel half a micron.
func squareLevel(frames int) study.Instance {
	return study.Instance{UID: "2.25.1.4.1", Series: "2.25.1.4", Class: "1.2.840.10008.5.1.4.1.1.77.1.6", TransferSyntax: "1.2.840.10008.1.2.1", Modality: study.SM, Number: 1, Image: &study.Image{
		Rows: 32, Columns: 32, Frames: frames * frames, Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7, Photometric: "RGB",
		Slide: &study.SlideLevel{TotalColumns: 32 * frames, TotalRows: 32 * frames, MicronsPerPixel: [2]float64{0.5, 0.5}, TiledFull: true, Kind: "VOLUME"}}}
}
