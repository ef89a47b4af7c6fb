package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"varde/models"
	"varde/study"
)

func promoteVerb() *cobra.Command {
	return changeVerb("promote MODEL", "A draft runs in shadow; that a shadow or suspended model speaks is proposed, and another person confirms",
		func(e models.Entry, w stateWish) (study.ModelState, error) {
			to := study.ModelState(w.to)
			switch {
			case to == study.ModelShadow, to == study.ModelLive:
				return to, nil
			case to != "":
				return "", exitError{exitUsage, fmt.Errorf("--to %s: live or shadow is meant", w.to)}
			case e.State == study.ModelDraft:
				return study.ModelShadow, nil
			case e.State == study.ModelShadow, e.State == study.ModelSuspended:
				return study.ModelLive, nil
			}
			return "", fmt.Errorf("a %s model has nowhere to be promoted to: %w", e.State, study.ErrRefused)
		}, "to", "share", "beside")
}

func shareVerb() *cobra.Command {
	c := changeVerb("share MODEL", "Change the share of exams that a model is asked about; a larger one of a live model is proposed",
		func(e models.Entry, w stateWish) (study.ModelState, error) {
			if w.share == "" {
				return "", exitError{exitUsage, errors.New("say which share with --share, as 10%")}
			}
			return e.State, nil
		}, "share", "beside")
	return c
}
