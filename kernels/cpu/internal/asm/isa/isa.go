// Package isa names the instruction set variants of the kernels and chooses
// the one that a process runs.
//
// It knows nothing of the kernels themselves. Start with Select.
package isa

import (
	"fmt"
	"strings"
)

// EnvVar is the environment variable that forces a variant: portable, avx2 or
// avx512.
const EnvVar = "HONE_CPU"

// Level is a variant of the kernels. Each includes the ones before it.
type Level int

const (
	Portable Level = iota // plain Go
	AVX2                  // AVX2, FMA, F16C and BMI1: 256-bit vectors
	AVX512                // AVX-512 F, BW, DQ and VL, BMI2 and POPCNT: 512-bit vectors
)

var names = [...]string{Portable: "portable", AVX2: "avx2", AVX512: "avx512"}

// String is the name that the environment variable takes.
func (l Level) String() string {
	if l < 0 || int(l) >= len(names) {
		return fmt.Sprintf("isa.Level(%d)", int(l))
	}
	return names[l]
}

// Detect returns the highest level that this processor, its operating system
// and this build can run.
func Detect() Level { return detect() }

// Supported lists the levels that can run here, lowest first.
func Supported() []Level {
	var ls []Level
	for l := Portable; l <= Detect(); l++ {
		ls = append(ls, l)
	}
	return ls
}

// Select returns the level to run given the value of the environment variable
// EnvVar. Empty chooses the best one. A name that is unknown, or that cannot
// run here, is an error.
func Select(value string) (Level, error) {
	return choose(value, Detect())
}

func choose(value string, best Level) (Level, error) {
	if value == "" {
		return best, nil
	}
	for l, name := range names {
		if value != name {
			continue
		}
		if Level(l) > best {
			return 0, fmt.Errorf("%s=%s: this processor or build runs at most %s; unset the variable to choose by processor", EnvVar, value, best)
		}
		return Level(l), nil
	}
	return 0, fmt.Errorf("%s=%q: unknown variant; the known ones are %s", EnvVar, value, strings.Join(names[:], ", "))
}
