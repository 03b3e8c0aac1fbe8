package memredis

// glob reports whether text matches a pattern as Redis reads it: *, ?, [a-c],
// [^a] and \ before a character that is meant literally.
func glob(pattern, text string) bool {
	for pattern != "" {
		switch {
		case pattern[0] == '*':
			return globRest(pattern[1:], text)
		case text == "":
			return false
		case pattern[0] == '[':
			matched, rest := globClass(pattern[1:], text[0])
			if !matched {
				return false
			}
			pattern, text = rest, text[1:]
			continue
		case pattern[0] == '\\' && len(pattern) > 1:
			pattern = pattern[1:]
			if pattern[0] != text[0] {
				return false
			}
		case pattern[0] != '?' && pattern[0] != text[0]:
			return false
		}
		pattern, text = pattern[1:], text[1:]
	}
	return text == ""
}

func globRest(pattern, text string) bool {
	for i := range len(text) + 1 {
		if glob(pattern, text[i:]) {
			return true
		}
	}
	return false
}

// globClass matches one character with what follows an opening bracket.
func globClass(class string, c byte) (matched bool, rest string) {
	negated := class != "" && class[0] == '^'
	if negated {
		class = class[1:]
	}
	for class != "" && class[0] != ']' {
		if class[0] == '\\' && len(class) > 1 {
			class = class[1:]
		}
		low, high := class[0], class[0]
		if len(class) > 2 && class[1] == '-' {
			high = class[2]
			class = class[2:]
		}
		matched = matched || min(low, high) <= c && c <= max(low, high)
		class = class[1:]
	}
	if class != "" {
		class = class[1:]
	}
	return matched != negated, class
}
