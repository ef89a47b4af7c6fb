package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

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
			if err := placesOfText(&options, boxes, regions); err != nil {
				return exitError{exitUsage, err}
			}
			key, err := readKey(keyFile)
			if err != nil {
				return exitError{exitUsage, err}
			}
			profile, err := deid.New(key, options)
			if err != nil {
				return exitError{exitUsage, fmt.Errorf("%s: %w; make one with: head -c 32 /dev/urandom > %s", keyFile, err, keyFile)}
			}
			e := export{profile: profile, folder: out, told: cmd.ErrOrStderr()}
			if err := e.all(cmd.Context(), args); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d objects written to %s; %d refused, %d not readable as DICOM\n", e.written, out, e.refused, e.unread)
			if e.refused > 0 || e.unread > 0 {
				return exitError{exitFound, fmt.Errorf("%d of %d files were not exported: %w", e.refused+e.unread, e.written+e.refused+e.unread, study.ErrRefused)}
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

// placesOfText reads where text is burned into pixels. Who names a place wants it
// covered.
func placesOfText(o *deid.Options, boxes []string, regions string) error {
	for _, text := range boxes {
		b, err := deid.ParseBox(text)
		if err != nil {
			return err
		}
		o.Boxes = append(o.Boxes, b)
	}
	if regions != "" {
		f, err := os.Open(regions)
		if err != nil {
			return err
		}
		defer f.Close()
		if o.Regions, err = deid.ParseRegions(f); err != nil {
			return fmt.Errorf("%s: %w", regions, err)
		}
	}
	o.CleanPixels = o.CleanPixels || len(o.Boxes) > 0 || len(o.Regions) > 0
	return nil
}

// readKey reads a key, which others than its owner should not be able to.
func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w; make one with: head -c 32 /dev/urandom > %s && chmod 600 %s", err, path, path)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("key %s can be read by everyone; run: chmod 600 %s: %w", path, path, study.ErrRefused)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return b, nil
}

// An export writes files de-identified and counts them.
type export struct {
	profile                  *deid.Profile
	folder                   string
	told                     io.Writer
	written, refused, unread int
}

// all exports the files below the arguments.
func (e *export) all(ctx context.Context, args []string) error {
	if err := os.MkdirAll(e.folder, 0o700); err != nil {
		return err
	}
	out, err := filepath.Abs(e.folder)
	if err != nil {
		return err
	}
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				if full, _ := filepath.Abs(p); full == out {
					return filepath.SkipDir // what was written is not to be read
				}
			}
			if err != nil || d.IsDir() {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			return e.count(p, e.one(p))
		})
		if err != nil {
			return fmt.Errorf("de-identify %s: %w", arg, err)
		}
	}
	return nil
}

// count tells what became of a file. It gives back an error that would meet the
// next file too.
func (e *export) count(path string, err error) error {
	switch {
	case err == nil:
		e.written++
		return nil
	case errors.Is(err, study.ErrRefused):
		e.refused++
	case errors.Is(err, study.ErrInvalid), errors.Is(err, study.ErrUnsupported):
		e.unread++
	default:
		return err
	}
	fmt.Fprintf(e.told, "%s: %v\n", path, err)
	if refused, ok := errors.AsType[*deid.RefusedError](err); ok && refused.BurnedIn {
		fmt.Fprintln(e.told, "  (--allow-burned-in writes it all the same)")
	}
	return nil
}

// one exports a file, under a name that its new UIDs give.
func (e *export) one(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	aside, err := os.CreateTemp(e.folder, ".incoming-*")
	if err != nil {
		return err
	}
	defer os.Remove(aside.Name()) // after the rename there is nothing to remove
	defer aside.Close()
	sum := sha256.New()
	r, err := e.profile.Rewrite(io.MultiWriter(aside, sum), in, info.Size())
	if err != nil {
		return err
	}
	if r.Study == "" || r.Series == "" {
		return fmt.Errorf("no study or series UID: %w", study.ErrInvalid)
	}
	if err := aside.Close(); err != nil {
		return err
	}
	final := filepath.Join(e.folder, string(r.Study), string(r.Series), string(r.Instance)+".dcm")
	if held, err := hashFile(final); err == nil && !bytes.Equal(held, sum.Sum(nil)) {
		return fmt.Errorf("%s is there already with other content; two objects bear one UID, or the options have changed: export to an empty folder: %w", final, study.ErrRefused)
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return err
	}
	return os.Rename(aside.Name(), final)
}

func hashFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	return sum.Sum(nil), nil
}
