//go:build cgo && linux

package native

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/nativetest"
)

func TestDevices(t *testing.T) {
	driver := nativetest.CUDA(t)
	list, err := devices(driver)
	require.NoError(t, err)
	require.Equal(t, []Device{{"GPU 7", 75, 7 << 33}, {"GPU 8", 80, 8 << 33}}, list)
	t.Setenv("FAKE_CUDA", "count:100")
	list, err = devices(driver)
	require.NoError(t, err)
	require.Len(t, list, mostDevices)
}

func TestDevicesRefuse(t *testing.T) {
	driver := nativetest.CUDA(t)
	for name, c := range map[string]struct {
		library string
		script  string
		kind    error
		want    string
	}{
		"no GPU":     {driver, "cuInit:100", ErrNotFound, "cuInit: there is no GPU that CUDA can use: look at nvidia-smi and at CUDA_VISIBLE_DEVICES, and start containers with --gpus all; CUDA error 100: as CUDA says it"},
		"none":       {driver, "count:0", ErrNotFound, "there is no GPU that CUDA can use"},
		"old":        {driver, "cuInit:35", ErrVersion, "NVIDIA's driver is too old"},
		"mismatch":   {driver, "cuInit:803", ErrVersion, "of another version than the driver in the kernel"},
		"count":      {driver, "cuDeviceGetCount:3", ErrInternal, "cuDeviceGetCount: NVIDIA's driver failed; CUDA error 3: as CUDA says it"},
		"get":        {driver, "cuDeviceGet:101", ErrNotFound, "cuDeviceGet: CUDA_VISIBLE_DEVICES names a GPU"},
		"name":       {driver, "cuDeviceGetName:1", ErrInternal, "cuDeviceGetName: "},
		"capability": {driver, "cuDeviceGetAttribute:1", ErrInternal, "cuDeviceGetAttribute: "},
		"memory":     {nativetest.CUDA(t, "WITHOUT_TEXT"), "cuDeviceTotalMem:1", ErrInternal, "cuDeviceTotalMem: NVIDIA's driver failed; CUDA error 1: unknown error"},
		"function":   {nativetest.CUDA(t, "WITHOUT_MEMORY"), "", ErrVersion, "cuDeviceTotalMem_v2: two libraries do not fit together, one lacks cuDeviceTotalMem_v2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("FAKE_CUDA", c.script)
			list, err := devices(c.library)
			require.Nil(t, list)
			require.ErrorIs(t, err, c.kind)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := devices("libcuda.so.9")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "libcuda.so.9 is missing, which comes with NVIDIA's driver")
	// This machine's own driver, or that there is none.
	list, err := Devices()
	if err != nil {
		require.Nil(t, list)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, []Status{StatusNotFound, StatusVersion, StatusInternal}, e.Status)
		return
	}
	for _, d := range list {
		require.NotEmpty(t, d.Name)
		require.Greater(t, d.Capability, 20)
		require.Positive(t, d.Memory)
	}
}
