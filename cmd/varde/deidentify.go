package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"varde/cmd/varde/deidentify"
	"varde/internal/dicom/deid"
	"varde/study"
)

func deidentifyVerb() *cobra.Command {
	var keyFile, out string
	var names, boxes []string
	var regions string
	var allow bool
	c := &cobra.Command{
		Use:   "deidentify --key-file KEY --out FOLDER FILE|FOLDER…",
		Short: "Write DICOM files without the patient (PS3.15 Annex E)",
		Long: "Writes each object again without what tells who the patient is: the Basic Application\n" +
			"Level Confidentiality Profile of PS3.15 Annex E, with options. The same key gives the\n" +
			"same UIDs and pseudonyms; keep it as you keep the patients' data. Objects that may show\n" +
			"the patient in their pixels are refused and named; the exit code is then 3. With\n" +
			"clean-pixels, --box or --regions text in uncompressed and RLE pixels is covered; labels\n" +
			"and overviews of slides are left out.\n\n" +
			"Options: " + strings.Join(deid.OptionNames(), ", "),
		Example: "  head -c 32 /dev/urandom > key && chmod 600 key\n" +
			"  varde deidentify --key-file key --options shift-dates,clean-descriptors --out export study/",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.MinimumNArgs(1)(cmd, args); err != nil {
				return exitError{exitUsage, err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := deid.ParseOptions(names)
			if err != nil {
				return exitError{exitUsage, err}
			}
			options.AllowBurnedIn = allow
			if err := deidentify.AddPlaces(&options, boxes, regions); err != nil {
				return exitError{exitUsage, err}
			}
			key, err := deidentify.ReadKey(keyFile)
			if err != nil {
				return exitError{exitUsage, err}
			}
			profile, err := deid.New(key, options)
			if err != nil {
				return exitError{exitUsage, fmt.Errorf("%s: %w; make one with: head -c 32 /dev/urandom > %s", keyFile, err, keyFile)}
			}
			e := deidentify.Export{Profile: profile, Folder: out, Told: cmd.ErrOrStderr()}
			if err := e.All(cmd.Context(), args); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d objects written to %s; %d refused, %d not readable as DICOM\n", e.Written, out, e.Refused, e.Unread)
			if e.Refused > 0 || e.Unread > 0 {
				return exitError{exitFound, fmt.Errorf("%d of %d files were not exported: %w", e.Refused+e.Unread, e.Written+e.Refused+e.Unread, study.ErrRefused)}
			}
			return nil
		},
	}
	c.Flags().StringVar(&keyFile, "key-file", "", "file with the secret key, at least 16 bytes")
	c.Flags().StringVar(&out, "out", "", "folder to write to; it is made if it is missing")
	c.Flags().StringSliceVar(&names, "options", nil, "options of the profile, comma-separated")
	c.Flags().BoolVar(&allow, "allow-burned-in", false, "write objects that may have text in their pixels too")
	c.Flags().StringArrayVar(&boxes, "box", nil, "x,y,width,height in pixels to be covered in every image; may be given again")
	c.Flags().StringVar(&regions, "regions", "", "file that says where devices write text: modality; manufacturer; model; columns×rows; boxes")
	_ = c.MarkFlagRequired("key-file")
	_ = c.MarkFlagRequired("out")
	return c
}
