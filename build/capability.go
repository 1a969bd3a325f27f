package build

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// capability is a compute capability that TensorRT-RTX can build for.
type capability struct {
	name      string
	byDefault bool // it is of GeForce RTX cards with bfloat16
	bf16      bool // bfloat16, matrices of float32, and weights of 4 bits
	fp8       bool
}

var capabilities = []capability{
	{name: "7.5"}, {name: "8.0", bf16: true}, {name: "8.6", byDefault: true, bf16: true}, {name: "8.9", byDefault: true, bf16: true, fp8: true},
	{name: "12.0", byDefault: true, bf16: true, fp8: true}, {name: "12.1", bf16: true, fp8: true},
}

// rtxCapabilities checks a list of compute capabilities, "8.6" or "86", against the
// checkpoint's types; without any it gives those of GeForce RTX cards from the 30 series on.
func rtxCapabilities(list []string, c *checkpoint.Config) ([]string, error) {
	why := func(k capability) string {
		q := c.Quantization.QuantAlgo
		switch {
		case q == checkpoint.FP8 && !k.fp8:
			return "the checkpoint's quant_algo FP8 needs 8.9 or later"
		case c.Dtype != checkpoint.Float16 && !k.bf16:
			return "the checkpoint's dtype " + c.Dtype + " needs 8.0 or later; export it with --dtype float16"
		case (q == checkpoint.W4A16 || q == checkpoint.W4A16AWQ) && !k.bf16:
			return "the checkpoint's quant_algo " + q + " needs 8.0 or later"
		}
		return ""
	}
	var names []string
	for _, k := range capabilities {
		if len(list) == 0 && k.byDefault && why(k) == "" {
			names = append(names, k.name)
		}
	}
	for _, value := range list {
		k, err := findCapability(value)
		if err != nil {
			return nil, err
		}
		if reason := why(k); reason != "" {
			return nil, fmt.Errorf("%w: --compute_capability %s: %s", ErrOption, k.name, reason)
		}
		if !slices.Contains(names, k.name) {
			names = append(names, k.name)
		}
	}
	return names, nil
}

func findCapability(value string) (capability, error) {
	var known []string
	number, err := capabilityNumber(value)
	for _, k := range capabilities {
		if n, _ := capabilityNumber(k.name); err == nil && n == number {
			return k, nil
		}
		known = append(known, k.name)
	}
	return capability{}, fmt.Errorf("%w: --compute_capability %q is none that TensorRT-RTX builds for: %s", ErrOption, value, strings.Join(known, ", "))
}

// capabilityForm is "8.9" or "89", from 5.0 on.
var capabilityForm = regexp.MustCompile(`^([5-9]|1[0-9])\.?([0-9])$`)

// capabilityNumber is a compute capability times ten, as TensorRT's enumerators have it.
func capabilityNumber(value string) (int, error) {
	digits := capabilityForm.FindStringSubmatch(value)
	if digits == nil {
		return 0, fmt.Errorf("%w: --compute_capability %q is none, such as 8.9", ErrOption, value)
	}
	return strconv.Atoi(digits[1] + digits[2])
}

// oneCapability is that of the GPU that an engine for tensorrt-llm is built on, 0 when it is not said.
func (s *settings) oneCapability() (int, error) {
	switch list := s.ComputeCapabilities; len(list) {
	case 0:
		return 0, nil
	case 1:
		return capabilityNumber(list[0])
	default:
		return 0, fmt.Errorf("%w: --compute_capability %s: an engine for TensorRT-LLM is for one GPU, that of the machine that builds it", ErrOption, strings.Join(list, " "))
	}
}

// devices lists the GPUs of the machine. Tests put others in their place.
var devices = native.Devices

// capabilityName is a compute capability, which is times ten, as config.json has it: "8.9".
func capabilityName(n int) string { return fmt.Sprintf("%d.%d", n/10, n%10) }

// machineCapability is that of the GPU that TensorRT builds for here, which is the first; the others are workers'.
// It is 0 where there is none, or where workers would build for several kinds.
func machineCapability(workers int) (capability int, name string) {
	list, err := devices()
	if err != nil || len(list) == 0 {
		return 0, "" // building tells of it
	}
	for _, d := range list {
		if workers > 1 && d.Capability != list[0].Capability {
			return 0, ""
		}
	}
	return list[0].Capability, list[0].Name
}
