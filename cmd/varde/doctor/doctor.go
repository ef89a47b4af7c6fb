// Package doctor looks at what Varde stands on and says, line by line, what it found and
// what to do. [Examine] looks at everything that the settings name: folder, ports,
// objects, ledger, queue, runtime, devices, models, workers, decoders and peers.
// [Try] sends one destination a test object of no patient, reads it back and compares;
// where a call fails, what is wrong with the way there is looked for too. [AskAlive] is
// the health check of a container. Whoever looks changes nothing but the test object.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The outcomes of a check. A warning keeps nothing from working.
const (
	OK   = "OK"
	Warn = "WARN"
	Fail = "FAIL"
)

// A Check is one line of the doctor: what was looked at, what was found, and
// what to do about it when it isn't as it should be.
type Check struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Found   string `json:"found"`
	Remedy  string `json:"remedy,omitempty"`
}

// Print writes a check as a line of text and its remedy on another, or as JSON.
func (k Check) Print(w io.Writer, asJSON bool) {
	if asJSON {
		_ = json.NewEncoder(w).Encode(k)
		return
	}
	fmt.Fprintf(w, "%-4s  %-16s %s\n", k.Outcome, k.Name, k.Found)
	if k.Remedy != "" && k.Outcome != OK {
		fmt.Fprintf(w, "      %-16s → %s\n", "", k.Remedy)
	}
}

// AskAlive asks the service at a URL whether it is alive, within three seconds: the
// health check of a container.
func AskAlive(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
