/* SPDX-License-Identifier: ISC */
#include "common/mail/lex.h"

bool
lex_is_atext(char c)
{
	if (ascii_is_alpha(c) || ascii_is_digit(c) || (unsigned char)c >= 128)
		return true;
	return c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL;
}

bool
lex_is_dot_atom(struct slice s)
{
	bool after_atext = false;

	for (size_t i = 0; i < s.n; i++) {
		if (!lex_is_atext(s.p[i]) && !(s.p[i] == '.' && after_atext))
			return false;
		after_atext = s.p[i] != '.';
	}
	return after_atext;
}

int
lex_hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_upper(c);
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t
lex_wsp_size(struct slice s)
{
	size_t n = 0;

	while (n < s.n && lex_is_wsp(s.p[n]))
		n++;
	return n;
}

size_t
lex_comment_size(struct slice s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return s.n;
}

size_t
lex_quoted_size(struct slice s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return s.n;
}

struct slice
lex_skip_cfws(struct slice s)
{
	while (s.n > 0 && (lex_is_wsp(*s.p) || *s.p == '('))
		s = slice_from(s, *s.p == '(' ? lex_comment_size(s) : 1);
	return s;
}

size_t
lex_unquote(struct slice quoted, char *p)
{
	size_t n = 0;

	for (size_t i = 1; i < quoted.n && quoted.p[i] != '"'; i++) {
		if (quoted.p[i] == '\\' && ++i == quoted.n)
			break;
		p[n++] = quoted.p[i];
	}
	return n;
}

bool
lex_put_quoted(struct buf *b, struct slice s)
{
	buf_put_char(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_put_char(b, '\\');
		buf_put_char(b, s.p[i]);
	}
	return buf_put_char(b, '"');
}
