package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestConstantMappings(t *testing.T) {
	const maps = `00400000-02e5d000 r-xp 00000000 fe:00 1 /bin/sealift
02e5d000-05e91000 r--p 02a5d000 fe:00 1 /bin/sealift
05e91000-05fc0000 rw-p 05a91000 fe:00 1 /bin/sealift
05fc0000-06000000 -w-p 05a91000 fe:00 1 /bin/sealift
06001000-06002000 r-xp 00000000 fe:00 1 /bin/sealift (deleted)
06002000-06003000 r--p 00000000 00:00 0
x-y r-xp 00000000 fe:00 1 /bin/sealift
7ff8-7ff7 r-xp 00000000 fe:00 1 /bin/sealift
`
	want := []mapping{{0x400000, 0x2e5d000}, {0x2e5d000, 0x5e91000}}
	if got := constantMappings(maps, "/bin/sealift"); !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	const linked = maps + "7f0000000000-7f0000001000 r-xp 00000000 fe:00 2 /lib/libc.so.6\n"
	if got := constantMappings(linked, "/bin/sealift"); !slices.Equal(got, want[:1]) {
		t.Errorf("%x, want %x: a loader wrote to the pages before the writable ones", got, want[:1])
	}
	const moved = `7f0000400000-7f0002e5d000 r-xp 00000000 fe:00 1 /bin/sealift
7f0002e5d000-7f0005e91000 r--p 02a5d000 fe:00 1 /bin/sealift
7f0005e91000-7f0005fc0000 rw-p 05a91000 fe:00 1 /bin/sealift
`
	if got := constantMappings(moved, "/bin/sealift"); len(got) != 1 {
		t.Errorf("%x: the program itself wrote to the pages before the writable ones", got)
	}
}

// Most pages of this program are resident once it has started, and few right after
// they were given back; what is needed of it works as before.
func TestReturnPages(t *testing.T) {
	touch(t)
	before := residentFile(t)
	returnPages()
	after := residentFile(t)
	if after > before*3/4 {
		t.Errorf("%d KiB of files are resident, and %d KiB after their pages were given back", before, after)
	}
	touch(t)
}

// touch runs a part of the program that has to be there.
func touch(t *testing.T) {
	t.Helper()
	if code := run([]string{"version"}, streams{Out: &strings.Builder{}, Err: &strings.Builder{}}); code != 0 {
		t.Fatal(code)
	}
}

// residentFile is how much of the mapped files is resident, in KiB.
func residentFile(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "RssFile:"); found {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the kernel does not say how much of the mapped files is resident")
	return 0
}
