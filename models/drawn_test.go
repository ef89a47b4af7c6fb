package models_test

import (
	"bytes"
	"encoding/binary"
	"image/jpeg"
	"math"
	"slices"
	"testing"

	"varde/internal/pixel"
	"varde/internal/studytest"
)

// These tests run the reference models over the studies that the demo draws,
// with as little of the platform between them as can be.

func TestDrawnChestsAreToldApart(t *testing.T) {
	c := card(t, ct)
	for _, nodules := range []bool{true, false} {
		d, err := studytest.ChestCT(studytest.CT{Seed: 1, Nodules: nodules, Slices: 56})
		if err != nil {
			t.Fatal(err)
		}
		const size, pixelMM = 256, 340.0 / 256
		n := int(size * pixelMM / c.Input.SpacingMM[1])
		p := blank(len(d.Objects), n, n)
		for z, o := range d.Objects {
			raw := o.File[len(o.File)-2*size*size:]
			for i := range n * n { // the nearest pixel is near enough
				y, x := int((float64(i/n)+0.5)*c.Input.SpacingMM[1]/pixelMM), int((float64(i%n)+0.5)*c.Input.SpacingMM[2]/pixelMM)
				p.v[z*n*n+i] = float64(int16(binary.LittleEndian.Uint16(raw[2*(y*size+x):]))) - 1024
			}
		}
		got := candidates(t, p)
		for _, m := range d.Marks {
			z, y, x := m.PatientMM[2]/1.5, (m.PatientMM[1]+170)/1.5, (m.PatientMM[0]+170)/1.5
			if v := got.at(int(math.Round(z)), int(y), int(x)); v < c.Find.Threshold {
				t.Errorf("nodule of %v mm: %.2f", m.DiameterMM, v)
			}
		}
		if v := slices.Max(got.v); !nodules && v >= c.Find.Threshold {
			t.Errorf("%.2f in a chest without nodules", v)
		}
	}
}

func TestDrawnMammogramsAreToldApart(t *testing.T) {
	c := card(t, mg)
	for _, grains := range []bool{true, false} {
		d, err := studytest.Mammogram(studytest.MG{Seed: 1, Calcifications: grains, Rows: 1024, Columns: 768})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range d.Objects {
			p := blank(1, 1024, 768)
			raw := o.File[len(o.File)-2*len(p.v):]
			for i := range p.v {
				p.v[i] = float64(binary.LittleEndian.Uint16(raw[2*i:])) / 4095
			}
			got := run(t, mg, pixel.Tensor{Shape: []int64{1, 1, 1024, 768}, Data: p.float32()})["cand"].Data.([]float32)
			marked := slices.ContainsFunc(d.Marks, func(m studytest.Mark) bool { return m.Instance == o.Instance })
			spots := 0
			for i, v := range got {
				if float64(v) < c.Find.Threshold {
					continue
				}
				spots++
				if !slices.ContainsFunc(d.Marks, func(m studytest.Mark) bool {
					return m.Instance == o.Instance && math.Hypot(float64(i%768)-m.X, float64(i/768)-m.Y) < m.DiameterMM/0.1
				}) {
					t.Errorf("%.1f at column %d, row %d, where nothing was drawn", v, i%768, i/768)
				}
			}
			if marked && spots < 3*c.Find.MinCluster {
				t.Errorf("%d pixels of a cluster", spots)
			}
		}
	}
}

func TestDrawnSlidesAreToldApart(t *testing.T) {
	c, s := card(t, he), session(t, he)
	for _, cellular := range []bool{true, false} {
		d, err := studytest.Slide(studytest.SM{Seed: 1, Cellular: cellular})
		if err != nil {
			t.Fatal(err)
		}
		var all []float32
		file := d.Objects[0].File
		for {
			at := bytes.Index(file, []byte{0xff, 0xd8, 0xff}) // a frame begins
			if at < 0 {
				break
			}
			file = file[at:]
			img, err := jpeg.Decode(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			file = file[3:]
			tile := make([]uint8, 0, 256*256*3)
			for i := range 256 * 256 {
				r, g, b, _ := img.At(i%256, i/256).RGBA()
				tile = append(tile, uint8(r>>8), uint8(g>>8), uint8(b>>8))
			}
			out, err := s.Run(t.Context(), map[string]pixel.Tensor{"tiles": {Shape: []int64{1, 256, 256, 3}, Data: tile}})
			if err != nil {
				t.Fatal(err)
			}
			if float64(out["tissue_fraction"].Data.([]float32)[0]) >= c.Input.MinTissue {
				all = append(all, out["nuclear_fraction"].Data.([]float32)...)
			}
		}
		slices.Sort(all)
		var top float64
		for _, v := range all[len(all)-10:] {
			top += float64(v) / 10
		}
		if cellular && top < c.Flag.Flagged || !cellular && top >= c.Flag.Uncertain {
			t.Errorf("cellular %v: %.3f over %d tiles", cellular, top, len(all))
		}
	}
}
