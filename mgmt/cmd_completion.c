/* SPDX-License-Identifier: ISC */
/*
 * Completion scripts for the shells, made from the table: the first word, and
 * the second where a command has two; file names elsewhere.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "mgmt/commands.h"

static struct slice
first_word(const struct command *c)
{
	struct slice name = slice_str(c->name);

	return slice_split(&name, ' ');
}

static const char *
second_word(const struct command *c)
{
	const char *space = strchr(c->name, ' ');

	return space != NULL ? space + 1 : NULL;
}

static bool
is_first_of_noun(const struct command *c)
{
	for (const struct command *o = commands; o < c; o++)
		if (slice_eq(first_word(o), first_word(c)))
			return false;
	return true;
}

/* The commands are given to `each` one noun after the other. */
static void
for_nouns(void (*each)(const struct command *c, struct slice noun))
{
	for (const struct command *c = commands; c->name != NULL; c++)
		if (is_first_of_noun(c))
			each(c, first_word(c));
}

static void
print_noun(const struct command *c, struct slice noun)
{
	printf("%s%.*s", c == commands ? "" : " ", (int)noun.n, noun.p);
}

/* Choices written in the arguments ("bash|zsh|fish") serve as well. */
static void
print_seconds(struct slice noun)
{
	const char *gap = "";

	for (const struct command *c = commands; c->name != NULL; c++) {
		if (!slice_eq(first_word(c), noun))
			continue;
		if (second_word(c) != NULL) {
			printf("%s%s", gap, second_word(c));
			gap = " ";
		} else if (strchr(c->args, '|') != NULL &&
		    strpbrk(c->args, " []") == NULL) {
			for (const char *p = c->args; *p != '\0'; p++)
				putchar(*p == '|' ? ' ' : *p);
		}
	}
}

static bool
has_seconds(const struct command *c)
{
	return second_word(c) != NULL ||
	    (strchr(c->args, '|') != NULL && strpbrk(c->args, " []") == NULL);
}

/* --- bash --- */

static void
bash_case(const struct command *c, struct slice noun)
{
	if (!has_seconds(c))
		return;
	printf("\t%.*s) words=\"", (int)noun.n, noun.p);
	print_seconds(noun);
	printf("\" ;;\n");
}

/* Words before the command ("-c FILE") are skipped, then it is by position. */
static void
print_bash(void)
{
	fputs("# bash completion of pneu; put it where bash-completion looks,\n"
	      "# or: eval \"$(pneu completion bash)\"\n"
	      "_pneu()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} at=1 words=\n"
	      "\twhile [[ ${COMP_WORDS[at]} == -* ]] && (( at < COMP_CWORD )); "
	      "do\n"
	      "\t\t[[ ${COMP_WORDS[at]} == -c || ${COMP_WORDS[at]} == --config "
	      "]] && (( at++ ))\n"
	      "\t\t(( at++ ))\n"
	      "\tdone\n"
	      "\tif (( at == COMP_CWORD )); then\n"
	      "\t\twords=\"",
	    stdout);
	for_nouns(print_noun);
	fputs("\"\n"
	      "\telif (( at + 1 == COMP_CWORD )); then\n"
	      "\tcase ${COMP_WORDS[at]} in\n",
	    stdout);
	for_nouns(bash_case);
	fputs("\tesac\n"
	      "\tfi\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	      "}\n"
	      "complete -o default -F _pneu pneu\n",
	    stdout);
}

/* --- zsh --- */

static void
print_zsh(void)
{
	fputs("#compdef pneu\n"
	      "# zsh completion of pneu: a file _pneu in a folder of $fpath\n"
	      "_pneu()\n{\n"
	      "\tlocal at=2\n"
	      "\twhile [[ ${words[at]} == -* ]] && (( at < CURRENT )); do\n"
	      "\t\t[[ ${words[at]} == -c || ${words[at]} == --config ]] && (( "
	      "at++ ))\n"
	      "\t\t(( at++ ))\n"
	      "\tdone\n"
	      "\tif (( at == CURRENT )); then\n"
	      "\t\tcompadd -- ",
	    stdout);
	for_nouns(print_noun);
	fputs("\n\t\treturn\n\tfi\n"
	      "\tif (( at + 1 == CURRENT )); then\n"
	      "\tcase ${words[at]} in\n",
	    stdout);
	for (const struct command *c = commands; c->name != NULL; c++) {
		struct slice noun = first_word(c);

		if (!is_first_of_noun(c) || !has_seconds(c))
			continue;
		printf("\t%.*s) compadd -- ", (int)noun.n, noun.p);
		print_seconds(noun);
		printf("; return ;;\n");
	}
	fputs("\tesac\n\tfi\n\t_files\n}\n"
	      "compdef _pneu pneu\n",
	    stdout);
}

/* --- fish --- */

static void
fish_quoted(const char *text)
{
	putchar('\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('\'');
}

static void
fish_noun(const struct command *c, struct slice noun)
{
	printf("complete -c pneu -n __fish_use_subcommand -f -a %.*s",
	    (int)noun.n, noun.p);
	if (second_word(c) == NULL) {
		printf(" -d ");
		fish_quoted(c->help);
	}
	putchar('\n');
	if (second_word(c) == NULL && has_seconds(c)) {
		printf("complete -c pneu -n '__fish_seen_subcommand_from %.*s'"
		       " -f -a '",
		    (int)noun.n, noun.p);
		print_seconds(noun);
		printf("'\n");
	}
}

static void
print_fish(void)
{
	puts("# fish completion of pneu: ~/.config/fish/completions/pneu.fish\n"
	     "complete -c pneu -s c -l config -r -d 'Configuration file'");
	for_nouns(fish_noun);
	for (const struct command *c = commands; c->name != NULL; c++) {
		struct slice noun = first_word(c);

		if (second_word(c) == NULL)
			continue;
		printf("complete -c pneu -n '__fish_seen_subcommand_from %.*s'"
		       " -f -a %s -d ",
		    (int)noun.n, noun.p, second_word(c));
		fish_quoted(c->help);
		putchar('\n');
	}
}

int
cmd_completion(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	if (argc != 2)
		return command_usage();
	if (strcmp(argv[1], "bash") == 0)
		print_bash();
	else if (strcmp(argv[1], "zsh") == 0)
		print_zsh();
	else if (strcmp(argv[1], "fish") == 0)
		print_fish();
	else
		return command_usage();
	return EX_OK;
}
