package dicom

// A vr is a value representation: its two letters, PS3.5 §6.2.
type vr uint16

func (v vr) String() string { return string([]byte{byte(v >> 8), byte(v)}) }

func makeVR(s string) vr { return vr(s[0])<<8 | vr(s[1]) }

// The value representations.
const (
	vrAE vr = 'A'<<8 | 'E'
	vrAS vr = 'A'<<8 | 'S'
	vrAT vr = 'A'<<8 | 'T'
	vrCS vr = 'C'<<8 | 'S'
	vrDA vr = 'D'<<8 | 'A'
	vrDS vr = 'D'<<8 | 'S'
	vrDT vr = 'D'<<8 | 'T'
	vrFD vr = 'F'<<8 | 'D'
	vrFL vr = 'F'<<8 | 'L'
	vrIS vr = 'I'<<8 | 'S'
	vrLO vr = 'L'<<8 | 'O'
	vrLT vr = 'L'<<8 | 'T'
	vrOB vr = 'O'<<8 | 'B'
	vrOD vr = 'O'<<8 | 'D'
	vrOF vr = 'O'<<8 | 'F'
	vrOL vr = 'O'<<8 | 'L'
	vrOV vr = 'O'<<8 | 'V'
	vrOW vr = 'O'<<8 | 'W'
	vrPN vr = 'P'<<8 | 'N'
	vrSH vr = 'S'<<8 | 'H'
	vrSL vr = 'S'<<8 | 'L'
	vrSQ vr = 'S'<<8 | 'Q'
	vrSS vr = 'S'<<8 | 'S'
	vrST vr = 'S'<<8 | 'T'
	vrSV vr = 'S'<<8 | 'V'
	vrTM vr = 'T'<<8 | 'M'
	vrUC vr = 'U'<<8 | 'C'
	vrUI vr = 'U'<<8 | 'I'
	vrUL vr = 'U'<<8 | 'L'
	vrUN vr = 'U'<<8 | 'N'
	vrUR vr = 'U'<<8 | 'R'
	vrUS vr = 'U'<<8 | 'S'
	vrUT vr = 'U'<<8 | 'T'
	vrUV vr = 'U'<<8 | 'V'
)

// long reports whether the explicit form has a 32-bit length, PS3.5 §7.1.2.
func (v vr) long() bool {
	switch v {
	case vrOB, vrOD, vrOF, vrOL, vrOV, vrOW, vrSQ, vrSV, vrUC, vrUN, vrUR, vrUT, vrUV:
		return true
	}
	return false
}

// known reports whether the standard has such a VR.
func (v vr) known() bool { return v.long() || v.short() }

func (v vr) short() bool {
	switch v {
	case vrAE, vrAS, vrAT, vrCS, vrDA, vrDS, vrDT, vrFD, vrFL, vrIS, vrLO, vrLT,
		vrPN, vrSH, vrSL, vrSS, vrST, vrTM, vrUI, vrUL, vrUS:
		return true
	}
	return false
}

// localized reports whether the character set of the data set applies, PS3.5 §6.1.2.3.
func (v vr) localized() bool {
	switch v {
	case vrLO, vrLT, vrPN, vrSH, vrST, vrUC, vrUT:
		return true
	}
	return false
}

// text reports whether the value is characters.
func (v vr) text() bool {
	switch v {
	case vrAE, vrAS, vrCS, vrDA, vrDS, vrDT, vrIS, vrTM, vrUI, vrUR:
		return true
	}
	return v.localized()
}

// single reports whether a backslash belongs to the text, so that there is one
// value at most.
func (v vr) single() bool { return v == vrLT || v == vrST || v == vrUT || v == vrUR }

// width is the number of bytes of one binary value, or 0.
func (v vr) width() int {
	switch v {
	case vrUS, vrSS, vrOW:
		return 2
	case vrUL, vrSL, vrFL, vrAT, vrOF, vrOL:
		return 4
	case vrFD, vrSV, vrUV, vrOD, vrOV:
		return 8
	}
	return 0
}

// implicitVR is the VR of a tag where the bytes do not name one. signed is what
// PixelRepresentation has said so far.
func implicitVR(t Tag, signed bool) vr {
	if t.Element() == 0 {
		return vrUL
	}
	vrs := t.VRs()
	switch {
	case len(vrs) == 0:
		return vrUN
	case len(vrs) == 1:
		return makeVR(vrs[0])
	}
	for _, v := range vrs {
		switch {
		case v == "OW": // also where it might be OB or US: PS3.5 §A.1
			return vrOW
		case v == "SS" && signed:
			return vrSS
		}
	}
	return makeVR(vrs[0])
}
