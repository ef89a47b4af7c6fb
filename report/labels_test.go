package report_test

import (
	"strings"
	"testing"

	"varde/study"
)

func TestLabelsAreSaidWithTheirCodes(t *testing.T) {
	text := build(chestCT(2, 1).labeled(), "en").Root.String()
	for _, want := range []string{
		`"Pneumothorax") = (52101004,SCT,"Present")`, `"Pleural effusion") = (60022001,SCT,"Possible diagnosis")`,
		`"Pulmonary edema") = (47492008,SCT,"Not seen")`, `"Histologic grade") = (6111,99VARDE,"Grade 2")`,
		`"Model score, not calibrated") = 0.7 (1,UCUM,"no units")`, `(L0JK,IBSI,"Maximum 3D Diameter of a Mesh") = 19.2 (mm,UCUM,`, `"Volume") = 3.053 (mL,UCUM,`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	out := chestCT(0, 0).labeled()
	out.result.AI, out.result.Reason = study.OutOfScope, study.Reason{Code: study.ReasonBlur}
	if text := build(out, "en").Root.String(); strings.Contains(text, "Pneumothorax") || !strings.Contains(text, "blurred") {
		t.Errorf("of a study that was turned away it says\n%s", text)
	}
}
