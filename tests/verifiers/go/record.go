package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
)

// checkFile ties a file to a notary record: extra = [leaf, [salt, digests]], the leaf's body commits to the
// digests, and every digest that can be computed here is the file's. It returns the leaf.
func checkFile(file, extra []byte) ([]byte, error) {
	pair, err := array(unpackAll(extra))
	if err != nil || len(pair) != 2 {
		return nil, errors.New("extra is not [leaf, opening]")
	}
	leaf, isBytes := pair[0].([]byte)
	if !isBytes {
		return nil, errors.New("leaf is not binary")
	}
	record, err := array(unpackAll(leaf))
	if err != nil || len(record) != 12 || record[0] != uint64(1) {
		return nil, errors.New("leaf is not a record of version 1")
	}
	if record[1] != "notary" {
		return nil, refused("the record is not a notarization")
	}
	for _, at := range []int{2, 3, 4, 5, 7, 8} {
		if _, ok := record[at].(uint64); !ok {
			return nil, errors.New("leaf: a number is expected")
		}
	}
	_, contract := record[9].(string)
	_, account := record[10].(string)
	if id, ok := record[6].([]byte); !ok || len(id) != 32 || !contract || !account {
		return nil, errors.New("leaf: transaction, contract or account is malformed")
	}
	body, err := array(record[11], nil)
	if err != nil || len(body) == 0 {
		return nil, errors.New("body is not an array")
	}
	commitment, isBytes := body[0].([]byte)
	opening, err := array(pair[1], nil)
	if err != nil || len(opening) != 2 || !isBytes {
		return nil, errors.New("opening is not [salt, digests]")
	}
	salt, isBytes := opening[0].([]byte)
	digests, err := array(opening[1], nil)
	if err != nil || !isBytes || len(salt) != 32 || len(digests) < 1 || len(digests) > 3 {
		return nil, errors.New("opening is not [salt, digests]")
	}
	list := []byte{0x90 | byte(len(digests))}
	matched, last := false, ""
	for _, d := range digests {
		digest, err := array(d, nil)
		if err != nil || len(digest) != 2 {
			return nil, errors.New("digest is not [algorithm, value]")
		}
		algorithm, isText := digest[0].(string)
		value, isBytes := digest[1].([]byte)
		size, known := map[string]int{"sha256": 32, "sha384": 48, "sha512": 64, "sm3": 32}[algorithm]
		if !isText || !isBytes || !known || len(value) != size || algorithm <= last {
			return nil, errors.New("digest is malformed or out of order")
		}
		last = algorithm
		list = append(list, 0x92, 0xa0|byte(len(algorithm)))
		list = append(append(list, algorithm...), 0xc4, byte(len(value)))
		list = append(list, value...)
		var computed []byte
		switch algorithm {
		case "sha256":
			sum := sha256.Sum256(file)
			computed = sum[:]
		case "sha384":
			sum := sha512.Sum384(file)
			computed = sum[:]
		case "sha512":
			sum := sha512.Sum512(file)
			computed = sum[:]
		default:
			continue // SM3 is bound by the commitment; its value is checked by the other verifier
		}
		if !bytes.Equal(computed, value) {
			return nil, refused("%s of the file is another", algorithm)
		}
		matched = true
	}
	if !matched {
		return nil, refused("no digest that can be computed here")
	}
	mac := hmac.New(sha256.New, salt)
	mac.Write(list)
	if !hmac.Equal(mac.Sum(nil), commitment) {
		return nil, refused("the record commits to other digests")
	}
	return leaf, nil
}

var errMsgpack = errors.New("not canonical MessagePack")

func array(value any, err error) ([]any, error) {
	items, ok := value.([]any)
	if err != nil || !ok {
		return nil, errMsgpack
	}
	return items, nil
}

// unpackAll reads one value of canonical MessagePack: nil, booleans, integers, text, binary and arrays.
func unpackAll(data []byte) (any, error) {
	value, rest, err := unpack(data, 0)
	if err == nil && len(rest) > 0 {
		err = errMsgpack
	}
	return value, err
}

func unpack(data []byte, depth int) (any, []byte, error) {
	if len(data) == 0 || depth > 16 {
		return nil, nil, errMsgpack
	}
	b, data := data[0], data[1:]
	// number reads an n-byte big-endian number that would not have fitted the next shorter form.
	number := func(n int, least uint64) (uint64, error) {
		if len(data) < n {
			return 0, errMsgpack
		}
		var whole [8]byte
		copy(whole[8-n:], data[:n])
		data = data[n:]
		if v := binary.BigEndian.Uint64(whole[:]); v >= least {
			return v, nil
		}
		return 0, errMsgpack
	}
	raw := func(n uint64, err error) ([]byte, []byte, error) {
		if err != nil || uint64(len(data)) < n {
			return nil, nil, errMsgpack
		}
		return data[:n], data[n:], nil
	}
	var n uint64
	var err error
	switch {
	case b < 0x80:
		return uint64(b), data, nil
	case b >= 0xe0:
		return int64(int8(b)), data, nil
	case b == 0xc0:
		return nil, data, nil
	case b == 0xc2 || b == 0xc3:
		return b == 0xc3, data, nil
	case b == 0xcc:
		n, err = number(1, 0x80)
		return n, data, err
	case b == 0xcd:
		n, err = number(2, 1<<8)
		return n, data, err
	case b == 0xce:
		n, err = number(4, 1<<16)
		return n, data, err
	case b == 0xcf:
		n, err = number(8, 1<<32)
		return n, data, err
	case b == 0xc4 || b == 0xc5 || b == 0xc6:
		switch b {
		case 0xc4:
			n, err = number(1, 0)
		case 0xc5:
			n, err = number(2, 1<<8)
		default:
			n, err = number(4, 1<<16)
		}
		return second(raw(n, err))
	case b>>5 == 0b101 || b == 0xd9 || b == 0xda:
		switch b {
		case 0xd9:
			n, err = number(1, 32)
		case 0xda:
			n, err = number(2, 1<<8)
		default:
			n = uint64(b & 0x1f)
		}
		text, rest, err := raw(n, err)
		return string(text), rest, err
	case b>>4 == 0b1001 || b == 0xdc:
		if n = uint64(b & 0x0f); b == 0xdc {
			n, err = number(2, 16)
		}
		items := []any{}
		for range n {
			var item any
			if err == nil {
				item, data, err = unpack(data, depth+1)
			}
			items = append(items, item)
		}
		return items, data, err
	}
	return nil, nil, errMsgpack
}

func second(value, rest []byte, err error) (any, []byte, error) { return value, rest, err }
