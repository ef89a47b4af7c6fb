package reading

import (
	"fmt"
	"strings"
	"time"

	"varde/store/row"
	"varde/study"
)

// awaited refuses to count a study as read while its case waits for something.
func (t *tx) awaited(s study.Study) error {
	if s.Modality != study.SM {
		return nil
	}
	waits, err := row.WaitsOf(t, s)
	if err != nil {
		return err
	}
	for _, w := range waits {
		if w.Open() {
			return fmt.Errorf("its case waits since %s: %s, asked for by %s; end that with a reason, or wait: %w",
				w.At.UTC().Format(time.RFC3339), strings.TrimSpace(w.Kind+" "+w.Reason), w.By, study.ErrRefused)
		}
	}
	return nil
}
