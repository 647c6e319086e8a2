package keysign

// alphabet is that of Bitcoin and Solana: letters and digits without 0, O, I and l.
const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// encode58 writes 32 bytes in base 58: each leading zero byte as a 1, the rest as one big-endian number.
func encode58(b [32]byte) string {
	zeros := 0
	for zeros < len(b) && b[zeros] == 0 {
		zeros++
	}
	var digits [44]byte // 58^44 > 256^32
	at := len(digits)
	for number := b[zeros:]; len(number) > 0; {
		rest, n := 0, 0
		for _, c := range number { // divides in place, dropping zeros in front
			rest = rest<<8 | int(c)
			if q := rest / 58; q > 0 || n > 0 {
				number[n] = byte(q)
				n++
			}
			rest %= 58
		}
		number = number[:n]
		at--
		digits[at] = alphabet[rest]
	}
	for range zeros {
		at--
		digits[at] = alphabet[0]
	}
	return string(digits[at:])
}

// values are the digits' values by character; 255 is none.
var values = func() (v [256]byte) {
	for i := range v {
		v[i] = 255
	}
	for i := range len(alphabet) {
		v[alphabet[i]] = byte(i)
	}
	return v
}()

// decode58 reads the one spelling of 32 bytes.
func decode58(s string) (b [32]byte, ok bool) {
	if len(s) < 32 || len(s) > 44 {
		return b, false
	}
	for i := range len(s) {
		carry := int(values[s[i]])
		if carry == 255 {
			return b, false
		}
		for j := len(b) - 1; j >= 0; j-- {
			carry += 58 * int(b[j])
			b[j] = byte(carry)
			carry >>= 8
		}
	}
	// What does not come back had too many digits, so that the number wrapped, or not as many 1s in front as there are zero
	// bytes: a further one, or one less, would be another spelling, or another number of bytes.
	return b, encode58(b) == s
}
