package artifact

import "sealift.dev/internal/objects"

// MaxManifest is the largest manifest or index, in bytes, as registries have it.
const MaxManifest = 4 << 20

const maxManifest = MaxManifest

// Limits bounds what Fetch and Unpack read. The zero value refuses everything.
type Limits struct {
	Config   int64 // bytes of the config blob
	Layer    int64 // bytes of the layer as it is stored
	Unpacked int64 // bytes of the layer's tar
	Files    int   // entries of the tar, folders included
	File     int64 // bytes of one file
	Path     int   // bytes of one path
	Depth    int   // folders in one path
}

// DefaultLimits is what releases are published and read with. Layer and Unpacked are
// held in memory at once.
func DefaultLimits() Limits {
	return Limits{
		Config:   4 << 20,
		Layer:    32 << 20,
		Unpacked: 64 << 20,
		Files:    20_000,
		File:     16 << 20,
		Path:     4096,
		Depth:    64,
	}
}

// ErrLimit is under every error about something larger than a limit.
var ErrLimit = objects.ErrLimit
