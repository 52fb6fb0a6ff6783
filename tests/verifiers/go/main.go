// Command outside checks what a chain hands out with code that its authors did not write:
// github.com/transparency-dev/formats for proofs, policies and cosignatures, golang.org/x/mod/sumdb for notes,
// inclusion, consistency and tiles. Where those libraries read more than the specifications allow, strict.go
// refuses it, so that a file has one form.
//
//	outside verify-proof FILE PROOF POLICY          FILE is what the record is about
//	outside verify-leaf LEAF PROOF POLICY           LEAF is the record itself
//	outside consistency OLD NEW POLICY HASHES       two checkpoints; HASHES is one base64 hash a line
//	outside tiles PREFIX POLICY                     PREFIX is a directory or an http(s) URL with checkpoint and tile/
//	outside batch DIR                               every case DIR/NAME/{file,proof,policy}; a line "NAME STATUS" each
//
// Exit status: 0 holds, 1 does not hold, 2 cannot be read.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errRefused marks what was read and does not hold; every other error means that it could not be read.
var errRefused = errors.New("refused")

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errRefused}, args...)...)
}

func status(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errRefused):
		return 1
	default:
		return 2
	}
}

func run(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "verify-proof":
		return verifyFiles(args[1], args[2], args[3], checkFile)
	case len(args) == 4 && args[0] == "verify-leaf":
		return verifyFiles(args[1], args[2], args[3], checkLeaf)
	case len(args) == 5 && args[0] == "consistency":
		return consistency(args[1], args[2], args[3], args[4])
	case len(args) == 3 && args[0] == "tiles":
		return tiles(args[1], args[2])
	case len(args) == 2 && args[0] == "batch":
		return batch(args[1])
	}
	return errors.New("usage: outside verify-proof|verify-leaf|consistency|tiles|batch ...")
}

func batch(dir string) error {
	cases, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, c := range cases {
		at := filepath.Join(dir, c.Name())
		err := verifyFiles(filepath.Join(at, "file"), filepath.Join(at, "proof"), filepath.Join(at, "policy"), checkFile)
		fmt.Printf("%s %d %v\n", c.Name(), status(err), err)
	}
	return nil
}

func main() {
	err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(status(err))
}
