package main

import (
	"context"

	"github.com/spf13/cobra"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
)

func serveVerb() *cobra.Command {
	var l settings.Loader
	c := &cobra.Command{
		Use:   "serve",
		Short: "Receive, score, report and show, until stopped",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), &l) },
	}
	l.Bind(c.Flags())
	return c
}

func workerVerb() *cobra.Command {
	var l settings.Loader
	c := &cobra.Command{
		Use:   "worker",
		Short: "Only score: the same as serve --roles score",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Flags().Set("roles", "score"); err != nil {
				return err
			}
			return serve(cmd.Context(), &l)
		},
	}
	l.Bind(c.Flags())
	return c
}

func serve(ctx context.Context, l *settings.Loader) error {
	if err := l.Load(); err != nil {
		return exitError{exitUsage, err}
	}
	if err := l.CheckServing(); err != nil {
		return exitError{exitUsage, err}
	}
	log := logger(l.Settings)
	h, err := house.Open(ctx, l.Settings, log, false)
	if ctx.Err() != nil && h == nil {
		return nil // asked to stop before it was ready
	}
	if err != nil {
		return err
	}
	err = h.Run(ctx)
	log.Info("varde stopped", "err", err)
	if closing := h.Close(); err == nil {
		err = closing
	}
	return err
}
