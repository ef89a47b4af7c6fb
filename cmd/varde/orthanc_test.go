package main_test

import (
	"fmt"
	"testing"

	"varde/internal/studytest/peers"
	"varde/study"
)

// newOrthanc is an archive that is particular about its name. It is not started.
func newOrthanc(t *testing.T) *peers.Orthanc {
	t.Helper()
	return peers.NewOrthanc(t, map[string]any{"DicomCheckCalledAet": true})
}

// countAt asks how many objects an archive holds under a SOP Instance UID.
func countAt(t *testing.T, o *peers.Orthanc, uid study.UID) int {
	t.Helper()
	var found []string
	o.Post(t, "/tools/find", fmt.Sprintf(`{"Level":"Instance","Query":{"SOPInstanceUID":%q}}`, uid), &found)
	return len(found)
}
