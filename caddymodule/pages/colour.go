package pages

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

var hexColour = regexp.MustCompile(`^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)

// parseColour reads #rgb or #rrggbb.
func parseColour(s string) (rgb [3]float64, ok bool) {
	if !hexColour.MatchString(s) {
		return rgb, false
	}
	n := (len(s) - 1) / 3
	for i := range rgb {
		digits := s[1+i*n : 1+(i+1)*n]
		v, _ := strconv.ParseUint(digits+digits[:2-n], 16, 8)
		rgb[i] = float64(v)
	}
	return rgb, true
}

// luminance is the relative luminance of WCAG 2.2, 0 of what is no colour.
func luminance(s string) float64 {
	rgb, _ := parseColour(s)
	for i, v := range rgb {
		if v /= 255; v <= 0.04045 {
			rgb[i] = v / 12.92
		} else {
			rgb[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*rgb[0] + 0.7152*rgb[1] + 0.0722*rgb[2]
}

// ratio is the contrast ratio of WCAG 2.2: from 1 to 21.
func ratio(a, b string) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// mix answers a with this much of b.
func mix(a, b string, much float64) string {
	from, _ := parseColour(a)
	to, _ := parseColour(b)
	var n [3]int
	for i := range n {
		n[i] = int(from[i]*(1-much) + to[i]*much + .5)
	}
	return fmt.Sprintf("#%02x%02x%02x", n[0], n[1], n[2])
}
