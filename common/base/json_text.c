/* SPDX-License-Identifier: ISC */
#include "common/base/json_text.h"

/* Where this takes other octets for a string than jansson does, that has met
 * an error before. */
bool
json_text_is_deep(struct slice text)
{
	bool string = false;
	size_t depth = 0;

	for (size_t i = 0; i < text.n; i++) {
		char o = text.p[i];

		if (string && o == '\\')
			i++;
		else if (o == '"')
			string = !string;
		else if (!string && (o == '[' || o == '{') &&
		    ++depth > JSON_TEXT_LEVELS)
			return true;
		else if (!string && (o == ']' || o == '}') && depth > 0)
			depth--;
	}
	return false;
}

json_t *
json_text_load(struct slice text, size_t flags)
{
	return json_text_is_deep(text) ? NULL
				       : json_loadb(text.p, text.n, flags, NULL);
}
