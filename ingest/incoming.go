package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"varde/internal/dicom"
	"varde/study"
)

const (
	// headBytes is how much of an object is read before its place is known. Most
	// slices are no longer, and are then scanned where they lie.
	headBytes = 1 << 20
	// maxHeadBytes is how far the UIDs may lie into an object: lists of source
	// images may stand before them.
	maxHeadBytes = 16 << 20
	// roomEvery is how many bytes pass between two looks at the room that is
	// left.
	roomEvery = 64 << 20
)

// An incoming object is read once, through scanned when it is longer than its
// head.
type incoming struct {
	object  Object
	prefix  []byte // Part 10 header of ours before a bare data set
	charset string
	room    func() error
	turn    *turn

	head   []byte // the first bytes of object.Data
	whole  bool   // head is all of it
	ids    Kept
	n      int64 // bytes of object.Data
	header *dicom.Header
	scan   *scanning
}

func (in *incoming) options() dicom.ScanOptions {
	return dicom.ScanOptions{Size: in.object.Size, TransferSyntax: in.object.TransferSyntax,
		Offset: int64(len(in.prefix)), Charset: in.charset}
}

// begin reads the head into buf, or into more when the UIDs lie further, and
// checks what can be checked before a byte is kept.
func (in *incoming) begin(buf []byte) error {
	in.ids = Kept{Study: in.object.Study, Class: in.object.Class, Instance: in.object.Instance}
	n := 0
	for {
		var err error
		n, err = fill(in.object.Data, buf, n)
		switch {
		case err == io.EOF:
			in.whole = true
		case err != nil:
			return fmt.Errorf("read object: %w: %w", ErrBroken, err)
		}
		in.head = buf[:n]
		o := in.options()
		if !in.whole {
			o.Size = 0
		}
		h, err := dicom.Scan(bytes.NewReader(in.head), o)
		if err != nil && (in.whole || h == nil || h.Data == nil || !identified(h)) {
			return fmt.Errorf("read object: %w", err)
		}
		if in.whole {
			in.n, in.header = int64(n), h
			return in.identify(h)
		}
		if identified(h) {
			return in.identify(h)
		}
		if len(buf) >= maxHeadBytes {
			return fmt.Errorf("no UIDs in the first %d bytes: %w", n, study.ErrInvalid)
		}
		buf = append(make([]byte, 0, 4*len(buf)), buf...)[:4*len(buf)]
	}
}

// fill reads until buf is full or r ends. io.EOF means that r has ended in order;
// [io.ReadFull] would hide a stream that was cut short behind the same error as
// one that is merely shorter than buf.
func fill(r io.Reader, buf []byte, n int) (int, error) {
	for n < len(buf) {
		m, err := r.Read(buf[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// identified reports whether the scan has come past everything that names the
// object: all of it lies in groups 0008 and 0020.
func identified(h *dicom.Header) bool {
	for _, tag := range []dicom.Tag{dicom.SOPClassUID, dicom.SOPInstanceUID, dicom.StudyInstanceUID, dicom.SeriesInstanceUID} {
		if uidText(h, tag) == "" {
			return false
		}
	}
	return true
}

// uidText is the text of an identifying UID. Where the data set does not say, the
// file meta information may.
func uidText(h *dicom.Header, t dicom.Tag) string {
	text := h.Data.Text(t)
	switch {
	case text != "":
	case t == dicom.SOPClassUID:
		text = h.Meta.Text(dicom.MediaStorageSOPClassUID)
	case t == dicom.SOPInstanceUID:
		text = h.Meta.Text(dicom.MediaStorageSOPInstanceUID)
	}
	return text
}

// identify reads the UIDs and holds them against what the sender announced.
func (in *incoming) identify(h *dicom.Header) error {
	for _, f := range []struct {
		tag   dicom.Tag
		to    *study.UID
		asked study.UID
	}{
		{dicom.SOPClassUID, &in.ids.Class, in.object.Class},
		{dicom.SOPInstanceUID, &in.ids.Instance, in.object.Instance},
		{dicom.StudyInstanceUID, &in.ids.Study, in.object.Study},
		{dicom.SeriesInstanceUID, &in.ids.Series, ""},
	} {
		uid, err := study.ParseUID(uidText(h, f.tag))
		if err != nil { // its text may be anything, so it goes into no log
			return fmt.Errorf("%s %s is missing or no UID: %w", f.tag, f.tag.Keyword(), study.ErrInvalid)
		}
		if f.asked != "" && uid != f.asked {
			return fmt.Errorf("%s %s is %s and was announced as %s: %w", f.tag, f.tag.Keyword(), uid, f.asked, ErrMismatch)
		}
		*f.to = uid
	}
	if in.whole {
		return in.check(h)
	}
	return nil
}

// check refuses an object that is not whole or that can't be told what it is. It
// runs before the archive has seen the end of the object, so that nothing of a
// refused one is kept.
func (in *incoming) check(h *dicom.Header) error {
	if h.Truncated {
		return fmt.Errorf("the object ends early: %w", study.ErrInvalid)
	}
	_, i, err := h.Describe()
	if err != nil {
		return fmt.Errorf("describe object: %w", err)
	}
	if i.UID != in.ids.Instance || i.Series != in.ids.Series || i.Study != in.ids.Study {
		return fmt.Errorf("the object names itself twice: %w", ErrMismatch)
	}
	return nil
}

// reader gives the object as it is kept. Of an object that is not whole it gives
// the one pass that there is.
func (in *incoming) reader() io.Reader {
	if in.whole {
		return io.MultiReader(bytes.NewReader(in.prefix), bytes.NewReader(in.head))
	}
	in.scan = newScanning(in, io.MultiReader(bytes.NewReader(in.head), in.object.Data))
	return io.MultiReader(bytes.NewReader(in.prefix), in.scan)
}

// size is how many bytes are kept, or −1.
func (in *incoming) size() int64 {
	switch {
	case in.whole:
		return int64(len(in.prefix) + len(in.head))
	case in.object.Size > 0:
		return int64(len(in.prefix)) + in.object.Size
	}
	return -1
}

// close ends the scan of an object that was not read to its end.
func (in *incoming) close() {
	if in.scan != nil {
		in.scan.stop()
	}
}

// arrival is everything that the ledger is told of the object but its place.
func (in *incoming) arrival() (study.Arrival, error) {
	if in.header == nil {
		return study.Arrival{}, errors.New("arrival of an object that was not read to its end")
	}
	s, i, err := in.header.Describe()
	if err != nil {
		return study.Arrival{}, fmt.Errorf("describe object: %w", err)
	}
	i.Bytes = int64(len(in.prefix)) + in.n
	return study.Arrival{Study: s, Instance: i, Frames: in.header.Frames}, nil
}

// scanning passes bytes on and scans them at the same time. It gives io.EOF only
// when the object was found sound: whoever keeps the bytes keeps nothing of an
// object that is refused at its last one.
type scanning struct {
	in   *incoming
	src  io.Reader
	pipe *io.PipeWriter
	done chan struct{}
	h    *dicom.Header
	err  error // of the scan; read after done
	over error // what Read answers from now on
	next int64 // when to look at the room again
}

func newScanning(in *incoming, src io.Reader) *scanning {
	r, w := io.Pipe()
	s := &scanning{in: in, src: src, pipe: w, done: make(chan struct{}), next: roomEvery}
	go func() {
		defer close(s.done)
		s.h, s.err = dicom.Scan(r, in.options())
		_ = r.CloseWithError(io.ErrClosedPipe)
	}()
	return s
}

// Read passes on what the source gives.
func (s *scanning) Read(p []byte) (int, error) {
	if s.over != nil {
		return 0, s.over
	}
	n, err := s.src.Read(p)
	if n > 0 {
		s.in.n += int64(n)
		s.in.turn.took(n)
		if _, werr := s.pipe.Write(p[:n]); werr != nil && err == nil {
			err = werr
		}
	}
	if err == nil && s.in.n >= s.next {
		s.next += roomEvery
		err = s.in.room()
		if err == nil {
			return n, nil
		}
		s.finish(err)
		return n, s.over
	}
	switch {
	case err == io.EOF:
		s.finish(nil)
	case err != nil:
		s.finish(fmt.Errorf("read object: %w: %w", ErrBroken, err))
	}
	return n, s.over
}

// finish waits for the scan and settles what Read answers.
func (s *scanning) finish(err error) {
	if err != nil {
		_ = s.pipe.CloseWithError(err)
	} else {
		_ = s.pipe.Close()
	}
	<-s.done
	s.over = io.EOF
	switch {
	case err != nil:
		s.over = err
	case s.err != nil:
		s.over = fmt.Errorf("read object: %w", s.err)
	default:
		if err := s.in.check(s.h); err != nil {
			s.over = err
			return
		}
		s.in.header = s.h
	}
}

// stop ends the scan, if it still runs.
func (s *scanning) stop() {
	_ = s.pipe.CloseWithError(io.ErrUnexpectedEOF)
	<-s.done
}
