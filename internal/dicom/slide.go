package dicom

import "varde/study"

// slideLevel reads where the frames of a whole slide image lie, PS3.3 §C.8.12.
func slideLevel(d *Dataset, g functionalGroups) *study.SlideLevel {
	l := &study.SlideLevel{
		TiledFull:     d.Text(DimensionOrganizationType) == "TILED_FULL",
		Concatenation: uidOf(d, ConcatenationUID),
		ContainerID:   d.Text(ContainerIdentifier),
		ExtendedDepth: d.Text(ExtendedDepthOfField) == "YES",
		PyramidUID:    uidOf(d, PyramidUID),
	}
	l.TotalColumns, _ = d.Int(TotalPixelMatrixColumns)
	l.TotalRows, _ = d.Int(TotalPixelMatrixRows)
	l.FrameOffset, _ = d.Int(ConcatenationFrameOffsetNumber)
	if v := g.floats(d, PixelMeasuresSequence, PixelSpacing, 2); v != nil && v[0] > 0 && v[1] > 0 {
		l.MicronsPerPixel = [2]float64{1000 * v[1], 1000 * v[0]} // the standard names rows first
	}
	if kinds := d.Texts(ImageType); len(kinds) > 2 {
		l.Kind = kinds[2]
	}
	l.FocalPlanes = count(d, TotalPixelMatrixFocalPlanes, NumberOfFocalPlanes)
	l.OpticalPaths = count(d, NumberOfOpticalPaths)
	paths := 0
	for range d.Each(OpticalPathSequence) {
		paths++
	}
	l.OpticalPaths = max(1, l.OpticalPaths, paths)
	l.ObjectiveLensText = d.Item(OpticalPathSequence).Text(ObjectiveLensPower)
	origin := d.Item(TotalPixelMatrixOriginSequence)
	l.OriginXMM, _ = origin.Float(XOffsetInSlideCoordinateSystem)
	l.OriginYMM, _ = origin.Float(YOffsetInSlideCoordinateSystem)
	if v := d.Floats(ImageOrientationSlide); len(v) == 6 {
		l.ImageOrientation = [6]float64(v)
	}
	if !l.TiledFull {
		l.Places = places(d)
	}
	return l
}

// count gives the first of several numbers that is there, and at least 1.
func count(d *Dataset, tags ...Tag) int {
	for _, t := range tags {
		if n, ok := d.Int(t); ok && n > 0 {
			return n
		}
	}
	return 1
}

// places gives the column and row of each frame in the total matrix, counted from
// 0, or nil when a frame does not say: a place is never guessed.
func places(d *Dataset) [][2]int {
	var out [][2]int
	for f := range d.Each(PerFrameFunctionalGroupsSequence) {
		p := f.Item(PlanePositionSlideSequence)
		column, ok := p.Int(ColumnPositionInTotalImagePixelMatrix)
		row, ok2 := p.Int(RowPositionInTotalImagePixelMatrix)
		if !ok || !ok2 {
			return nil
		}
		out = append(out, [2]int{column - 1, row - 1})
	}
	return out
}
