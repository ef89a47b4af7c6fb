package jpeg

// A sample is one value of one component.
type sample interface{ byte | uint16 }

// A plane holds one component in whole blocks.
type plane[T sample] struct {
	pix           []T
	stride        int
	width, height int // that count
}

// spread writes a component in full size to every step-th byte of out. kx and ky
// say for how many pixels one sample stands.
//
// Where libjpeg has a triangle filter ("fancy upsampling") it is used here too,
// with the same rounding: all networks were trained through it, and repeating
// samples instead differs by up to 56 of 255. Other ratios repeat, as libjpeg's.
func (p *plane[T]) spread(out []T, step, w, h, kx, ky int) {
	row := make([]T, p.width*kx+1)
	sum := make([]int32, p.width)
	for y := range h {
		near := p.line(y / ky)
		switch {
		case kx == 1 && ky == 1:
			place(out[y*w*step:], near[:w], step)
			continue
		case kx == 2 && ky == 1 && p.width > 2:
			wider(row, near)
		case kx == 1 && ky == 2:
			between(row, near, p.line(p.other(y)), 1+int32(y&1))
		case kx == 2 && ky == 2 && p.width > 2:
			far := p.line(p.other(y))
			for x := range sum {
				sum[x] = 3*int32(near[x]) + int32(far[x])
			}
			widerSum(row, sum)
		default:
			for x := range w {
				row[x] = near[x/kx]
			}
		}
		place(out[y*w*step:], row[:w], step)
	}
}

// line gives the samples of one row that count.
func (p *plane[T]) line(y int) []T { return p.pix[y*p.stride:][:p.width:p.width] }

// other is the row of samples on the far side of output row y, for two output
// rows a sample.
func (p *plane[T]) other(y int) int {
	if y&1 == 0 {
		return max(y/2-1, 0)
	}
	return min(y/2+1, p.height-1)
}

func place[T sample](out, row []T, step int) {
	if step == 1 {
		copy(out, row)
		return
	}
	for i, v := range row {
		out[i*step] = v
	}
}

// wider doubles a row of more than one sample.
func wider[T sample](dst, s []T) {
	n := len(s)
	dst[0], dst[1] = s[0], T((3*int32(s[0])+int32(s[1])+2)>>2)
	for i := 1; i < n-1; i++ {
		v := 3 * int32(s[i])
		dst[2*i], dst[2*i+1] = T((v+int32(s[i-1])+1)>>2), T((v+int32(s[i+1])+2)>>2)
	}
	dst[2*n-2], dst[2*n-1] = T((3*int32(s[n-1])+int32(s[n-2])+1)>>2), s[n-1]
}

// between mixes two rows, three parts to one.
func between[T sample](dst, near, far []T, bias int32) {
	for i := range near {
		dst[i] = T((3*int32(near[i]) + int32(far[i]) + bias) >> 2)
	}
}

// widerSum doubles a row of sums of four quarters.
func widerSum[T sample](dst []T, t []int32) {
	n := len(t)
	dst[0], dst[1] = T((4*t[0]+8)>>4), T((3*t[0]+t[1]+7)>>4)
	for i := 1; i < n-1; i++ {
		v := 3 * t[i]
		dst[2*i], dst[2*i+1] = T((v+t[i-1]+8)>>4), T((v+t[i+1]+7)>>4)
	}
	dst[2*n-2], dst[2*n-1] = T((3*t[n-1]+t[n-2]+8)>>4), T((4*t[n-1]+7)>>4)
}
