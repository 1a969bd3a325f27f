package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/export"
)

const calibratedLater = "it needs calibration, which comes with a later release"

// laterQformats are quantize.py's --qformat values that are still to come, whatever
// the source is.
var laterQformats = []string{"nvfp4", "fp8_pc_pt", "int8_sq", "w4a8_awq"}

// quantiseFlags say what form the weights get.
func quantiseFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "qformat", DefaultText: "what the source has", Usage: "full_prec undoes quantisation, as is always done to a quantised GGUF; int8_wo and int4_wo have the weights rounded by the builder; " +
			"fp8 and int4_awq are for a source that is so already; what needs calibration comes with a later release"},
		&cli.IntFlag{Name: "group-size", DefaultText: "a scale for each output, of the builder", Usage: "with int4_wo: how many inputs share a scale, 32, 64 or 128; the weights are rounded here and laid out as AWQ's (TensorRT-LLM takes 64 and 128)"},
		&cli.BoolFlag{Name: "use-weight-only", Usage: "int8_wo, or int4_wo with --weight-only-precision int4"},
		&cli.StringFlag{Name: "weight-only-precision", Value: "int8", Usage: "int8 or int4, with --use-weight-only"},
		&cli.StringFlag{Name: "kv-cache-dtype", Aliases: []string{"kv-cache-qformat"}, DefaultText: "what the source has", Usage: "none, or fp8 or int8 of a source that has the scales"},
		&cli.BoolFlag{Name: "use-fp8", Usage: "the same as --qformat fp8"},
		&cli.BoolFlag{Name: "fp8-kv-cache", Usage: "the same as --kv-cache-dtype fp8"},
		&cli.BoolFlag{Name: "int8-kv-cache", Usage: "the same as --kv-cache-dtype int8"},
		&cli.StringFlag{Name: "target-version", DefaultText: export.TargetVersions[0], Usage: "release of TensorRT-LLM to write for, 1.1 or 1.2; recorded, what is written is the same for both"},
	}
}

// quantiseOptions reads them into o.
func quantiseOptions(c *cli.Context, o *export.Options) error {
	if err := firstError(
		oneOf(c, "qformat", "", "full_prec", "fp8", "int8_wo", "int4_wo", "int4_awq", "nvfp4", "fp8_pc_pt", "int8_sq", "w4a8_awq"),
		oneOf(c, "weight-only-precision", "int8", "int4", "int4_gptq"),
		oneOf(c, "kv-cache-dtype", "", "none", "fp8", "int8"),
		oneOf(c, "target-version", append([]string{""}, export.TargetVersions...)...),
	); err != nil {
		return err
	}
	o.QFormat, o.KVCacheDtype, o.TargetVersion = c.String("qformat"), c.String("kv-cache-dtype"), c.String("target-version")
	if slices.Contains(laterQformats, o.QFormat) {
		return usagef("--qformat %s cannot be used here: %s; use full_prec, int8_wo or int4_wo, or leave the flag out", o.QFormat, calibratedLater)
	}
	if o.GroupSize = c.Int("group-size"); c.IsSet("group-size") && !slices.Contains(export.GroupSizes, o.GroupSize) {
		return usagef("--group-size %d is none of 32, 64, 128", o.GroupSize)
	}
	if c.Bool("use-weight-only") {
		format := map[string]string{"int8": export.QFormatInt8WO, "int4": export.QFormatInt4WO}[c.String("weight-only-precision")]
		if format == "" {
			return usagef("--weight-only-precision %s cannot be used here: %s; use int8 or int4", c.String("weight-only-precision"), calibratedLater)
		}
		if err := agree("--qformat", &o.QFormat, "--use-weight-only", format); err != nil {
			return err
		}
	}
	if o.GroupSize != 0 && o.QFormat != export.QFormatInt4WO {
		return usagef("--group-size %d is for --qformat int4_wo", o.GroupSize)
	}
	for _, f := range []struct {
		name, other, value string
		into               *string
	}{
		{"use-fp8", "--qformat", export.QFormatFP8, &o.QFormat},
		{"fp8-kv-cache", "--kv-cache-dtype", export.KVCacheFP8, &o.KVCacheDtype},
		{"int8-kv-cache", "--kv-cache-dtype", export.KVCacheInt8, &o.KVCacheDtype},
	} {
		if c.Bool(f.name) {
			if err := agree(f.other, f.into, "--"+f.name, f.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// agree sets a value that two flags name.
func agree(name string, value *string, other, want string) error {
	if *value != "" && *value != want {
		return usagef("%s %s and %s (%s) contradict each other", name, *value, other, want)
	}
	*value = want
	return nil
}
