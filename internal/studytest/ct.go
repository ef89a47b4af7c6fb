package studytest

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"varde/internal/dicom"
	"varde/study"
)

// A CT is what to draw of a chest.
type CT struct {
	Seed    uint64
	Nodules bool
	Slices  int     // 0 = 64
	Size    int     // rows and columns; 0 = 256
	StepMM  float64 // between slices; 0 = 1.5
	Patient string  // a second study of the same kind needs its own name and UIDs
}

// hounsfield values of what is drawn.
const (
	huAir, huLung, huSoft, huFat, huBone, huVessel, huNodule = -1000, -860, 45, -90, 520, 40, 35
)

// planted are the nodules, as shares of the lungs' box, and their diameters in
// mm: two in the right lung and one in the left, clear of wall and vessels.
var planted = []struct{ x, y, z, mm float64 }{
	{-0.47, -0.10, 0.50, 11}, {-0.40, 0.32, 0.28, 8}, {0.46, 0.05, 0.68, 9},
}

// ChestCT draws a chest: body wall, ribs, spine, two lungs with branching
// vessels, and, when asked, three solid nodules. 16-bit signed, HU = value − 1024.
func ChestCT(o CT) (Drawn, error) {
	if o.Slices == 0 {
		o.Slices = 64
	}
	if o.Size == 0 {
		o.Size = 256
	}
	if o.StepMM == 0 {
		o.StepMM = 1.5
	}
	words := map[bool]string{true: "chest CT with nodules", false: "chest CT without nodules"}[o.Nodules]
	id := fmt.Sprint("ct", o)
	d := Drawn{Name: words, Study: study.DerivedUID("studytest", id), Modality: study.CT, Positive: o.Nodules}
	c := newChest(o)
	series, frame := study.DerivedUID(id, "series"), study.DerivedUID(id, "frame")
	head := common{name: "CT " + map[bool]string{true: "NODULES", false: "CLEAR"}[o.Nodules] + o.Patient,
		description: "SYNTHETIC " + words, study: d.Study, modality: study.CT, sex: "O", birth: "19600101"}
	slices := c.slices()
	for z, pixels := range slices {
		instance := study.DerivedUID(id, "slice", fmt.Sprint(z))
		obj := head.identity(dicom.CTImage, series, instance, 1, z+1)
		zMM := float64(z) * o.StepMM
		obj.Set(dicom.SeriesDescription, "SYNTHETIC axial").Set(dicom.BodyPartExamined, "CHEST").
			Set(dicom.PatientPosition, "HFS").Set(dicom.ImageType, "ORIGINAL", "PRIMARY", "AXIAL").Set(dicom.FrameOfReferenceUID, string(frame)).
			Set(dicom.PositionReferenceIndicator, "").Set(dicom.AcquisitionNumber, 1).Set(dicom.KVP, 120.0).
			Set(dicom.ImagePositionPatient, -c.halfMM, -c.halfMM, zMM).
			Set(dicom.ImageOrientationPatient, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0).
			Set(dicom.PixelSpacing, c.pixelMM, c.pixelMM).Set(dicom.SliceThickness, o.StepMM).
			Set(dicom.PhotometricInterpretation, "MONOCHROME2").
			Set(dicom.RescaleIntercept, -1024.0).Set(dicom.RescaleSlope, 1.0).Set(dicom.RescaleType, "HU").
			Set(dicom.WindowCenter, -600.0).Set(dicom.WindowWidth, 1500.0)
		obj.Native(o.Size, o.Size, 1, 16, true, pixels)
		if err := d.keep(obj, dicom.CTImage, instance, dicom.ExplicitLE); err != nil {
			return d, err
		}
	}
	if o.Nodules {
		for _, n := range c.nodules {
			z := min(max(int(math.Round(n.z/o.StepMM)), 0), o.Slices-1)
			d.Marks = append(d.Marks, Mark{Instance: d.Objects[z].Instance,
				X: (n.x + c.halfMM) / c.pixelMM, Y: (n.y + c.halfMM) / c.pixelMM,
				PatientMM: [3]float64{n.x, n.y, n.z}, DiameterMM: 2 * n.r})
		}
	}
	return d, nil
}

// A ball is a sphere, in mm from the center of the field and from the first slice.
type ball struct{ x, y, z, r float64 }

// A tube is a straight piece of vessel.
type tube struct {
	ax, ay, az, bx, by, bz, ra, rb float64
}

// A chest is the geometry of one drawn chest.
type chest struct {
	CT
	pixelMM, halfMM, depthMM float64
	nodules                  []ball
	vessels                  []tube
}

func newChest(o CT) *chest {
	c := &chest{CT: o, pixelMM: 340 / float64(o.Size), halfMM: 170, depthMM: float64(o.Slices) * o.StepMM}
	if o.Nodules {
		for _, p := range planted {
			c.nodules = append(c.nodules, ball{p.x * 170, p.y * 120, p.z * c.depthMM, p.mm / 2})
		}
	}
	for _, side := range []float64{-1, 1} {
		for i := range 7 {
			c.branch(side, i)
		}
	}
	return c
}

// branch grows one vessel from the hilum outward and forks it once. A vessel
// keeps clear of the nodules, as if they lay in a quiet part of the lung.
func (c *chest) branch(side float64, i int) {
	turn := (unit(c.Seed, i, 1, int(side)) - 0.5) * 2.2
	rise := (unit(c.Seed, i, 2, int(side)) - 0.5) * 0.9
	ax, ay, az := side*28, 5.0, c.depthMM*0.5
	length := 48 + 18*unit(c.Seed, i, 3, int(side))
	bx, by, bz := ax+side*length*math.Cos(turn), ay+length*math.Sin(turn), az+rise*c.depthMM*0.8
	c.grow(tube{ax, ay, az, bx, by, bz, 3.2, 1.7})
	for _, fork := range []float64{-0.5, 0.5} {
		l := 30.0
		c.grow(tube{bx, by, bz, bx + side*l*math.Cos(turn+fork), by + l*math.Sin(turn+fork), bz + fork*12, 1.6, 0.7})
	}
}

func (c *chest) grow(t tube) {
	for _, p := range planted {
		if d, _ := t.distance(p.x*170, p.y*120, p.z*c.depthMM); d < 14 {
			return
		}
	}
	c.vessels = append(c.vessels, t)
}

// distance gives how far a place is from the tube's axis, and the radius there.
func (t tube) distance(x, y, z float64) (mm, radius float64) {
	dx, dy, dz := t.bx-t.ax, t.by-t.ay, t.bz-t.az
	u := ((x-t.ax)*dx + (y-t.ay)*dy + (z-t.az)*dz) / (dx*dx + dy*dy + dz*dz)
	u = min(1, max(0, u))
	ex, ey, ez := x-t.ax-u*dx, y-t.ay-u*dy, z-t.az-u*dz
	return math.Sqrt(ex*ex + ey*ey + ez*ez), t.ra + u*(t.rb-t.ra)
}

// slices draws all slices, as many at once as there are cores.
func (c *chest) slices() [][]byte {
	out := make([][]byte, c.Slices)
	var next atomic.Int64
	var draw sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		draw.Go(func() {
			for z := int(next.Add(1)) - 1; z < len(out); z = int(next.Add(1)) - 1 {
				out[z] = c.slice(z)
			}
		})
	}
	draw.Wait()
	return out
}

// slice draws one slice as 16-bit signed little-endian values, HU + 1024.
func (c *chest) slice(z int) []byte {
	zMM := float64(z) * c.StepMM
	near := c.near(zMM)
	out := make([]byte, 2*c.Size*c.Size)
	for row := range c.Size {
		y := (float64(row)+0.5)*c.pixelMM - c.halfMM
		for col := range c.Size {
			x := (float64(col)+0.5)*c.pixelMM - c.halfMM
			hu := c.at(x, y, zMM, near) + 28*(unit(c.Seed, col, row, z)+unit(c.Seed, row, col, z, 1)-1)
			binary.LittleEndian.PutUint16(out[2*(row*c.Size+col):], uint16(int16(math.Round(hu)+1024)))
		}
	}
	return out
}

// near lists the tubes that cross the neighborhood of a slice.
func (c *chest) near(z float64) []tube {
	var near []tube
	for _, t := range c.vessels {
		if z > min(t.az, t.bz)-6 && z < max(t.az, t.bz)+6 {
			near = append(near, t)
		}
	}
	return near
}

// ellipse gives a signed distance, roughly in mm, negative within.
func ellipse(x, y, cx, cy, rx, ry float64) float64 {
	u, v := (x-cx)/rx, (y-cy)/ry
	return (math.Sqrt(u*u+v*v) - 1) * min(rx, ry)
}

// at gives the HU of a place: layers from the outside in, each soft at its edge.
func (c *chest) at(x, y, z float64, near []tube) float64 {
	const edge = 1.5
	hu := float64(huAir)
	over := func(v, share float64) { hu += (v - hu) * share }
	over(huFat, inside(ellipse(x, y, 0, 0, 158, 112), edge))
	over(huSoft, inside(ellipse(x, y, 0, 0, 146, 102), edge))
	rib := math.Abs(ellipse(x, y, 0, 0, 138, 95)) - 4
	if math.Mod(math.Atan2(y, x)*9+z*0.12+40, math.Pi*2) < 2.4 {
		over(huBone, inside(rib, edge))
	}
	over(huBone, inside(ellipse(x, y, 0, 82, 17, 15), edge))
	// The lungs narrow toward the first and last slices.
	t := z/c.depthMM - 0.5
	k := 1 - 0.5*t*t
	lung := min(ellipse(x, y, -74, -4, 58*k, 80*k), ellipse(x, y, 72, -4, 55*k, 78*k))
	in := inside(lung, edge)
	if in == 0 {
		return hu
	}
	over(huLung+12*cloud(c.Seed, x, y+3*z, 9), in)
	for _, v := range near {
		if d, r := v.distance(x, y, z); d < r+edge {
			over(huVessel, in*inside(d-r, edge))
		}
	}
	for _, n := range c.nodules {
		d := math.Sqrt((x-n.x)*(x-n.x) + (y-n.y)*(y-n.y) + (z-n.z)*(z-n.z))
		if d < n.r+edge {
			over(huNodule, in*inside(d-n.r, edge))
		}
	}
	return hu
}
