package ups

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// TestMutatedFramesBreakNothing reads frames with bytes changed, cut and repeated:
// each is read or refused, and none makes room for more than it may.
func TestMutatedFramesBreakNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seeds := [][]byte{
		{0x89, 0x80, 1, 2, 3, 4},
		{0x81, 0x83, 1, 2, 3, 4, 'a', 'b', 'c'},
		append([]byte{0x82, 0xFE, 0, 200, 1, 2, 3, 4}, make([]byte, 200)...),
		append([]byte{0x82, 0xFF, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3, 4}, make([]byte, 256)...),
		{0x88, 0x82, 1, 2, 3, 4, 3, 0xE8},
	}
	read := 0
	for n := range 20_000 {
		b := bytes.Clone(seeds[n%len(seeds)])
		for range rng.IntN(4) {
			switch at := rng.IntN(len(b)); rng.IntN(3) {
			case 0:
				b[at] = byte(rng.Uint32())
			case 1:
				b = b[:at+1]
			default:
				b = append(b, b[at:]...)
			}
		}
		kind, payload, err := readFrame(bytes.NewReader(b))
		if err == nil {
			read++
		}
		if err == nil && (len(payload) > maxFrame || kind > framePong) {
			t.Fatalf("%x: kind %d, %d bytes", b, kind, len(payload))
		}
	}
	if read == 0 {
		t.Error("none was read")
	}
}

// TestMutatedDataSetsBreakNothing parses data sets with bytes changed, and writes
// those that are taken: what is kept is read back.
func TestMutatedDataSetsBreakNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	seed := []byte(`[{"00741002":{"vr":"SQ","Value":[{"00741004":{"vr":"DS","Value":[40,"1",null]},"00404037":{"vr":"PN","Value":[{"Alphabetic":"A^B"}]}}]},"00741216":{"vr":"SQ","Value":[{"00404033":{"vr":"SQ"}}]}}]`)
	taken := 0
	for range 20_000 {
		b := bytes.Clone(seed)
		for range 1 + rng.IntN(3) {
			switch at := rng.IntN(len(b)); rng.IntN(3) {
			case 0:
				b[at] = `{}[],:"0123456789ABCDEFSQvr null\u`[rng.IntN(34)]
			case 1:
				b = append(b[:at], b[at+1:]...)
			default:
				b = append(b[:at:at], append([]byte{b[at]}, b[at:]...)...)
			}
		}
		r, err := parse(b)
		if err != nil {
			continue
		}
		taken++
		again, err := parse(pack(r))
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		x, _ := json.Marshal(r)
		y, _ := json.Marshal(again)
		if !bytes.Equal(x, y) {
			t.Fatalf("%s: %s, %s", b, x, y)
		}
	}
	if taken == 0 {
		t.Error("none was taken")
	}
}
