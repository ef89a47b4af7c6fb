package draft_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"varde/models/draft"
	"varde/models/modelcard"
	"varde/study"
)

const applied = `<?xml version="1.0"?>
<AppliedModelCard xmlns="https://mc.chai.org/v0.2/schema.xsd">
<BasicInfo><ModelName>Rib "Finder" 3</ModelName><ModelDeveloper>Somebody AS</ModelDeveloper><DeveloperContact>x</DeveloperContact></BasicInfo>
<ReleaseInfo><ReleaseStage>CE marked</ReleaseStage><ReleaseVersion>RF 3.1</ReleaseVersion></ReleaseInfo>
<ModelSummary><Summary>Looks
for fractures.</Summary></ModelSummary>
<UsesAndDirections><IntendedUseAndWorkflow>Triage of chest CT in adults.</IntendedUseAndWorkflow><HowToUse>Read as usual.</HowToUse>
<TargetedPatientPopulation>18 and older</TargetedPatientPopulation><CautionedOutOfScopeSettings>Children</CautionedOutOfScopeSettings></UsesAndDirections>
<Warnings><KnownRisksAndLimitations>Misses old fractures.</KnownRisksAndLimitations><ClinicalRiskLevel>IIa</ClinicalRiskLevel></Warnings>
<TrustIngredients><AISystemFacts><OutcomesAndOutputs>Probability of a fracture.</OutcomesAndOutputs></AISystemFacts></TrustIngredients>
<KeyMetrics><UsefulnessUsabilityEfficacy><Results>
<MetricResult><Label>Sensitivity</Label><ValueJson>{"kind":"estimate_ci","estimate":91.5,"lower":88,"upper":94,"level":95,"unit":"%"}</ValueJson></MetricResult>
<MetricResult><Label>Usability</Label><ValueJson>"good"</ValueJson></MetricResult>
</Results><TestType>Retrospective.</TestType><TestingDataDescription>412 adults</TestingDataDescription></UsefulnessUsabilityEfficacy></KeyMetrics>
</AppliedModelCard>`

const bundle = `{"version":"0.3.1","task":"Spleen of somebody","description":"3-D","authors":"A team","data_source":"an open set","intended_use":"research only",
"pred_classes":"channel 1 is spleen","eval_metrics":{"mean_dice":0.95},"references":["A paper"],
"network_data_format":{"inputs":{"image":{"type":"image","format":"hounsfield","modality":"CT","num_channels":1,"spatial_shape":[96,96,"16*n"],"dtype":"float32","value_range":[0,1],"is_patch_data":true,"channel_def":{"0":"image"}}},
"outputs":{"pred":{"type":"image","format":"segmentation","num_channels":2,"spatial_shape":[96,96,96],"dtype":"float32","channel_def":{"0":"background","1":"spleen"}},
"more":{"format":"segmentation","num_channels":1}}}}`

// TestDraftsCarryWhatIsThereAndNameWhatIsNot reads both kinds: the draft is TOML
// with known keys, holds the facts, and no registry would take it.
func TestDraftsCarryWhatIsThereAndNameWhatIsNot(t *testing.T) {
	for name, tt := range map[string]struct {
		make  func([]byte) (draft.Draft, error)
		file  string
		holds []string
		gaps  []string
	}{
		"CHAI": {draft.CHAI, applied, []string{`id = "rib-finder-3"`, `version = "RF3.1"`, `vendor = "Somebody AS"`, `"Rib \"Finder\" 3"`, `description = "Looks for fractures."`,
			`modality = ["CT"]`, `limits = "Misses old fractures."`, `not_for = ["Children"]`, `mode = "triage"`, "metric = \"Sensitivity\"\nvalue = 91.5\nlow = 88.0\nhigh = 94.0\nlevel = 0.95\nunit = \"%\"", `population = "412 adults"`},
			[]string{"network:", "sha256:", "regulatory:", "IIa", "18 and older", "Usability", "input", "flagged"}},
		"MONAI": {draft.MONAI, bundle, []string{`id = "spleen-of-somebody"`, `version = "0.3.1"`, `name = "image"`, `kind = "volume"`, `layout = "NCDHW"`, `values = "hu"`, `role = "map"`, "index = 1", `map = "more"`, `metric = "mean_dice"`, `source = "A paper"`},
			[]string{"windows of 96 × 96 × 0", "from 0 to 1", "1 spleen", "spacing_mm", "limits", "regulatory", "sha256"}},
	} {
		d, err := tt.make([]byte(tt.file))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, want := range tt.holds {
			if !strings.Contains(string(d.TOML), want) {
				t.Errorf("%s: no %s in\n%s", name, want, d.TOML)
			}
		}
		all := strings.Join(d.Gaps, "\n")
		for _, want := range tt.gaps {
			if !strings.Contains(all, want) {
				t.Errorf("%s: nobody is told of %s:\n%s", name, want, all)
			}
		}
		var c modelcard.Card
		meta, err := toml.Decode(string(d.TOML), &c)
		if err != nil || len(meta.Undecoded()) > 0 {
			t.Errorf("%s: %v, unknown keys %v\n%s", name, err, meta.Undecoded(), d.TOML)
		}
		_, err = modelcard.Parse(d.TOML)
		if !errors.Is(err, study.ErrInvalid) || strings.Contains(err.Error(), "no such key") {
			t.Errorf("%s: an unfinished draft: %v", name, err)
		}
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	for _, text := range []string{"", "{}", "<a/>", "<AppliedModelCard/>", `{"network_data_format":{}}`, applied[:300], bundle[:300]} {
		if _, err := draft.CHAI([]byte(text)); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("CHAI of %.20q: %v", text, err)
		}
		if _, err := draft.MONAI([]byte(text)); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("MONAI of %.20q: %v", text, err)
		}
	}
}

// FuzzDrafts: whatever a file says, the draft is TOML.
func FuzzDrafts(f *testing.F) {
	f.Add([]byte(applied))
	f.Add([]byte(bundle))
	f.Add([]byte("<AppliedModelCard><BasicInfo><ModelName>\u0085 \u007f</ModelName></BasicInfo></AppliedModelCard>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, make := range []func([]byte) (draft.Draft, error){draft.CHAI, draft.MONAI} {
			d, err := make(b)
			if err != nil {
				continue
			}
			var m map[string]any
			if _, err := toml.Decode(string(d.TOML), &m); err != nil {
				t.Errorf("%v\n%s", err, d.TOML)
			}
		}
	})
}
