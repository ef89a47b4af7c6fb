package jpeg

// The inverse DCT is that of Loeffler, Ligtenberg and Moschytz (ICASSP 1989)
// with 12 multiplications a line, in 13-bit fixed point and two bits of headroom
// between the passes, one for samples of 12 bits: bit for bit what libjpeg calls
// "islow", its default.
const (
	fixBits      = 13
	passBits     = 2
	widePassBits = 1 // for samples of 12 bits

	fix0298 = 2446
	fix0390 = 3196
	fix0541 = 4433
	fix0765 = 6270
	fix0899 = 7373
	fix1175 = 9633
	fix1501 = 12299
	fix1847 = 15137
	fix1961 = 16069
	fix2053 = 16819
	fix2562 = 20995
	fix3072 = 25172
)

// line transforms eight coefficients. The results carry fixBits more bits.
func line[T int32 | int64](c0, c1, c2, c3, c4, c5, c6, c7 T) (o0, o1, o2, o3, o4, o5, o6, o7 T) {
	// Even part.
	z := (c2 + c6) * fix0541
	t2, t3 := z-c6*fix1847, z+c2*fix0765
	t0, t1 := (c0+c4)<<fixBits, (c0-c4)<<fixBits
	e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2

	// Odd part.
	z1, z2, z3, z4 := c7+c1, c5+c3, c7+c3, c5+c1
	z5 := (z3 + z4) * fix1175
	a0, a1, a2, a3 := c7*fix0298, c5*fix2053, c3*fix3072, c1*fix1501
	z1, z2 = -z1*fix0899, -z2*fix2562
	z3, z4 = z5-z3*fix1961, z5-z4*fix0390
	a0 += z1 + z3
	a1 += z2 + z4
	a2 += z2 + z3
	a3 += z1 + z4
	return e0 + a3, e1 + a2, e2 + a1, e3 + a0, e3 - a0, e2 - a1, e1 - a2, e0 - a3
}

// inverse transforms dequantized coefficients into 8×8 samples. It spoils b.
func inverse(b *[64]int32, out []byte, stride int) {
	const s1 = fixBits - passBits
	const r1 = 1 << (s1 - 1)
	for i := range 8 {
		c := b[i : i+57 : i+57]
		if c[8]|c[16]|c[24]|c[32]|c[40]|c[48]|c[56] == 0 {
			v := c[0] << passBits
			c[0], c[8], c[16], c[24], c[32], c[40], c[48], c[56] = v, v, v, v, v, v, v, v
			continue
		}
		o0, o1, o2, o3, o4, o5, o6, o7 := line(c[0], c[8], c[16], c[24], c[32], c[40], c[48], c[56])
		c[0], c[8], c[16], c[24] = (o0+r1)>>s1, (o1+r1)>>s1, (o2+r1)>>s1, (o3+r1)>>s1
		c[32], c[40], c[48], c[56] = (o4+r1)>>s1, (o5+r1)>>s1, (o6+r1)>>s1, (o7+r1)>>s1
	}
	const s2 = fixBits + passBits + 3
	const r2 = 1<<(s2-1) + 128<<s2 // half, and the level shift
	for y := range 8 {
		c := b[8*y : 8*y+8 : 8*y+8]
		o := out[y*stride : y*stride+8 : y*stride+8]
		o0, o1, o2, o3, o4, o5, o6, o7 := line(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7])
		o[0], o[1], o[2], o[3] = clamp((o0+r2)>>s2), clamp((o1+r2)>>s2), clamp((o2+r2)>>s2), clamp((o3+r2)>>s2)
		o[4], o[5], o[6], o[7] = clamp((o4+r2)>>s2), clamp((o5+r2)>>s2), clamp((o6+r2)>>s2), clamp((o7+r2)>>s2)
	}
}

// flat writes 8×8 samples of a block that has no coefficient but the first.
func flat(out []byte, stride int, dc int32) {
	v := clamp((dc<<passBits+1<<(passBits+2))>>(passBits+3) + 128)
	for y := range 8 {
		o := out[y*stride : y*stride+8 : y*stride+8]
		o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7] = v, v, v, v, v, v, v, v
	}
}

// inverseWide transforms dequantized coefficients into 8×8 samples of 12 bits.
// Sums of such coefficients do not fit into 32 bits.
func inverseWide(b *[64]int32, out []uint16, stride int) {
	const s1 = fixBits - widePassBits
	const r1 = 1 << (s1 - 1)
	var t [64]int64
	for i := range 8 {
		o0, o1, o2, o3, o4, o5, o6, o7 := line(int64(b[i]), int64(b[i+8]), int64(b[i+16]), int64(b[i+24]),
			int64(b[i+32]), int64(b[i+40]), int64(b[i+48]), int64(b[i+56]))
		c := t[i : i+57 : i+57]
		c[0], c[8], c[16], c[24] = (o0+r1)>>s1, (o1+r1)>>s1, (o2+r1)>>s1, (o3+r1)>>s1
		c[32], c[40], c[48], c[56] = (o4+r1)>>s1, (o5+r1)>>s1, (o6+r1)>>s1, (o7+r1)>>s1
	}
	const s2 = fixBits + widePassBits + 3
	const r2 = 1<<(s2-1) + 2048<<s2 // half, and the level shift
	for y := range 8 {
		c := t[8*y : 8*y+8 : 8*y+8]
		o := out[y*stride : y*stride+8 : y*stride+8]
		o0, o1, o2, o3, o4, o5, o6, o7 := line(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7])
		o[0], o[1], o[2], o[3] = clamp12((o0+r2)>>s2), clamp12((o1+r2)>>s2), clamp12((o2+r2)>>s2), clamp12((o3+r2)>>s2)
		o[4], o[5], o[6], o[7] = clamp12((o4+r2)>>s2), clamp12((o5+r2)>>s2), clamp12((o6+r2)>>s2), clamp12((o7+r2)>>s2)
	}
}

func clamp12(v int64) uint16 { return uint16(min(max(v, 0), 4095)) }

func clamp(v int32) byte {
	if uint32(v) > 255 {
		return byte(^(v >> 31))
	}
	return byte(v)
}
