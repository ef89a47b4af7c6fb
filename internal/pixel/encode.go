package pixel

import (
	"fmt"
	"image"
	"io"

	"github.com/disintegration/imaging"

	"varde/study"
)

// GrayImage wraps w×h samples of 8 bits as an image. The samples are not copied.
func GrayImage(v []byte, w, h int) (*image.Gray, error) {
	if w <= 0 || h <= 0 || len(v) != w*h {
		return nil, fmt.Errorf("gray image of %d×%d pixels in %d bytes: %w", w, h, len(v), study.ErrInvalid)
	}
	return &image.Gray{Pix: v, Stride: w, Rect: image.Rect(0, 0, w, h)}, nil
}

// RGBImage makes an image of interleaved RGB.
func RGBImage(rgb []byte, w, h int) (*image.NRGBA, error) {
	if w <= 0 || h <= 0 || len(rgb) != 3*w*h {
		return nil, fmt.Errorf("color image of %d×%d pixels in %d bytes: %w", w, h, len(rgb), study.ErrInvalid)
	}
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i, o := 0, 0; i < len(rgb); i, o = i+3, o+4 {
		img.Pix[o], img.Pix[o+1], img.Pix[o+2], img.Pix[o+3] = rgb[i], rgb[i+1], rgb[i+2], 255
	}
	return img, nil
}

// Thumbnail shrinks an image to fit into a square of that side; a smaller one is
// left as it is. It is for the eye, never for a network.
func Thumbnail(img image.Image, side int) image.Image {
	return imaging.Fit(img, side, side, imaging.Lanczos)
}

// PNG writes an image without loss.
func PNG(w io.Writer, img image.Image) error {
	if err := imaging.Encode(w, img, imaging.PNG); err != nil {
		return fmt.Errorf("write PNG: %w", err)
	}
	return nil
}

// JPEG writes an image with the given quality, 1 to 100.
func JPEG(w io.Writer, img image.Image, quality int) error {
	if err := imaging.Encode(w, img, imaging.JPEG, imaging.JPEGQuality(quality)); err != nil {
		return fmt.Errorf("write JPEG: %w", err)
	}
	return nil
}
