package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

// source reads a log's static resources from a directory or over HTTP.
type source string

func (s source) read(path string) ([]byte, error) {
	if !strings.HasPrefix(string(s), "http://") && !strings.HasPrefix(string(s), "https://") {
		return os.ReadFile(filepath.Join(string(s), filepath.FromSlash(path)))
	}
	response, err := http.Get(strings.TrimSuffix(string(s), "/") + "/" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, 32<<20))
}

func (s source) Height() int { return tileHeight }

// ReadTiles answers tlog.TileHashReader; C2SP paths are Go's without the height.
func (s source) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, 0, len(tiles))
	for _, tile := range tiles {
		data, err := s.read(c2spPath(tile))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (s source) SaveTiles([]tlog.Tile, [][]byte) {}

func c2spPath(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight), "tile/", 1)
}

// tiles reads checkpoint, all hash tiles and all entry bundles, and recomputes the one from the other.
func tiles(prefix, policyFile string) error {
	s := source(prefix)
	policy, err := os.ReadFile(policyFile)
	if err != nil {
		return err
	}
	signed, err := s.read("checkpoint")
	if err != nil {
		return err
	}
	cp, err := openCheckpoint(signed, policy)
	if err != nil {
		return err
	}
	size := int64(cp.Size)
	if size == 0 {
		return errors.New("the log is empty")
	}
	tree := tlog.Tree{N: size, Hash: tlog.Hash(cp.Hash)}
	reader := tlog.TileHashReader(tree, s)
	for start := int64(0); start < size; start += 1 << tileHeight {
		width := min(size-start, 1<<tileHeight)
		indexes := make([]int64, 0, width)
		for i := range width {
			indexes = append(indexes, tlog.StoredHashIndex(0, start+i))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return refused("%v", err)
		}
		tile := tlog.Tile{H: tileHeight, L: 0, N: start >> tileHeight, W: int(width)}
		bundle, err := s.read(strings.Replace(c2spPath(tile), "tile/0/", "tile/entries/", 1))
		if err != nil {
			return err
		}
		for i, h := range hashes {
			if len(bundle) < 2 {
				return errors.New("entry bundle is cut off")
			}
			n := int(bundle[0])<<8 | int(bundle[1])
			if len(bundle) < 2+n {
				return errors.New("entry bundle is cut off")
			}
			if tlog.RecordHash(bundle[2:2+n]) != h {
				return refused("entry %d is not the leaf of that index", start+int64(i))
			}
			bundle = bundle[2+n:]
		}
		if len(bundle) > 0 {
			return refused("entry bundle %d is too long", tile.N)
		}
	}
	return nil
}
