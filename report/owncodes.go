package report

import (
	"varde/report/messages"
	"varde/study"
)

// OwnCodes lists the concepts of our own coding scheme, 99VARDE, that stand in
// objects and messages of every model. Cards may add others.
func OwnCodes() []study.Code { return append([]study.Code{conceptScore}, messages.OwnCodes()...) }
