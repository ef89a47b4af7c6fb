// Package studytest draws labeled synthetic studies by code, for the demo and
// for tests.
//
//	ChestCT      a chest volume, with nodules or without
//	Mammogram    four views, with a cluster of microcalcifications or without
//	Slide        an H&E slide as DICOM SM, with a cellular region or without
//
// What is drawn is plain geometry and seeded noise: it looks like the organ only
// as far as the reference models need, every object says that it is synthetic,
// and each study knows its truth. The same options give the same bytes. What only
// tests may link is beside it: shared finds the set of real files, peers runs
// programs of other makers.
package studytest

import (
	"bytes"
	"fmt"
	"io"
	"math"

	"varde/internal/dicom"
	"varde/study"
)

// A Drawn study is what was drawn and what is true of it.
type Drawn struct {
	Name     string // for tables: "chest CT with nodules"
	Study    study.UID
	Modality study.Modality
	Positive bool   // something was planted that a reference model should flag
	Marks    []Mark // where
	Objects  []Object
}

// A Mark is one planted thing.
type Mark struct {
	Instance   study.UID // the image at its center
	X, Y       float64   // pixels of that image; of the finest level's total matrix on a slide
	PatientMM  [3]float64
	DiameterMM float64
}

// An Object is one DICOM file.
type Object struct {
	Class    study.UID
	Instance study.UID
	Syntax   study.UID
	File     []byte // Part 10
	DataSet  []byte // the part of File behind the file meta information, as C-STORE sends it
}

// common holds what every drawn object has.
type common struct {
	name, description string
	study             study.UID
	modality          study.Modality
	sex, birth        string
}

// identity begins an object: patient, study, series, and the words that say that
// no person is behind it.
func (c common) identity(class study.UID, series, instance study.UID, seriesNumber, number int) *dicom.Object {
	o := dicom.NewObject(class, instance)
	o.Set(dicom.SOPClassUID, string(class)).Set(dicom.SOPInstanceUID, string(instance)).
		Set(dicom.StudyInstanceUID, string(c.study)).Set(dicom.SeriesInstanceUID, string(series)).
		Set(dicom.PatientName, "SYNTHETIC^"+c.name).Set(dicom.PatientID, "SYN-"+string(c.modality)).
		Set(dicom.PatientBirthDate, c.birth).Set(dicom.PatientSex, c.sex).
		Set(dicom.StudyDate, "20260105").Set(dicom.StudyTime, "080000").
		Set(dicom.SeriesDate, "20260105").Set(dicom.SeriesTime, "080000").
		Set(dicom.ContentDate, "20260105").Set(dicom.ContentTime, "080000").
		Set(dicom.AccessionNumber, "SYN"+string(c.modality)+"1").Set(dicom.StudyID, "1").
		Set(dicom.ReferringPhysicianName, "").
		Set(dicom.StudyDescription, c.description).Set(dicom.Modality, string(c.modality)).
		Set(dicom.Manufacturer, "Varde synthetic").Set(dicom.ManufacturerModelName, "studytest").
		Set(dicom.SeriesNumber, seriesNumber).Set(dicom.InstanceNumber, number)
	return o
}

// keep encodes an object and adds it to the study.
func (d *Drawn) keep(o *dicom.Object, class, instance, syntax study.UID) error {
	file, err := o.Encode()
	if err != nil {
		return fmt.Errorf("draw %s: %w", d.Name, err)
	}
	_, rest, err := dicom.DataSet(bytes.NewReader(file))
	if err != nil {
		return fmt.Errorf("draw %s: %w", d.Name, err)
	}
	data, err := io.ReadAll(rest)
	if err != nil {
		return fmt.Errorf("draw %s: %w", d.Name, err)
	}
	d.Objects = append(d.Objects, Object{Class: class, Instance: instance, Syntax: syntax, File: file, DataSet: data})
	return nil
}

// hash mixes integers into 64 well-spread bits (the finalizer of SplitMix64).
func hash(seed uint64, v ...int) uint64 {
	h := seed
	for _, x := range v {
		h += 0x9e3779b97f4a7c15 + uint64(int64(x))
		h ^= h >> 30
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 27
		h *= 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// unit gives a number in [0, 1) from integers.
func unit(seed uint64, v ...int) float64 { return float64(hash(seed, v...)>>11) / (1 << 53) }

// cloud is smooth noise in [−1, 1]: values at the crossings of a grid of the
// given pitch, blended between them.
func cloud(seed uint64, x, y, pitch float64) float64 {
	x, y = x/pitch, y/pitch
	fx, fy := math.Floor(x), math.Floor(y)
	ix, iy := int(fx), int(fy)
	tx, ty := ease(x-fx), ease(y-fy)
	a := unit(seed, ix, iy)*(1-tx) + unit(seed, ix+1, iy)*tx
	b := unit(seed, ix, iy+1)*(1-tx) + unit(seed, ix+1, iy+1)*tx
	return 2*(a*(1-ty)+b*ty) - 1
}

func ease(t float64) float64 { return t * t * (3 - 2*t) }

// inside is 1 well within a surface at distance 0, 0 well outside, and a ramp of
// the given width between them, so that edges are as soft as a scanner's.
func inside(distance, width float64) float64 {
	return min(1, max(0, 0.5-distance/width))
}
