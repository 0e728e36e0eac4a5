/* SPDX-License-Identifier: ISC */
/*
 * Completion scripts for the shells, made from the table: the first word, the
 * second where a command has two or its argument is a choice ("bash|zsh"), the
 * options of the command, and file names elsewhere.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "mgmt/commands.h"

/* --- words of the table --- */

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
is_choice(const struct command *c)
{
	return strchr(c->args, '|') != NULL && strpbrk(c->args, " []") == NULL;
}

static bool
has_seconds(const struct command *c)
{
	return second_word(c) != NULL || is_choice(c);
}

static bool
is_first_of_noun(const struct command *c)
{
	for (const struct command *o = commands; o < c; o++)
		if (slice_eq(first_word(o), first_word(c)))
			return false;
	return true;
}

static void
print_nouns(void)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		if (is_first_of_noun(c))
			printf("%.*s ", (int)first_word(c).n, c->name);
}

static void
print_seconds(struct slice noun)
{
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (!slice_eq(first_word(c), noun))
			continue;
		if (second_word(c) != NULL)
			printf("%s ", second_word(c));
		else if (is_choice(c))
			for (const char *p = c->args; *p != '\0'; p++)
				putchar(*p == '|' ? ' ' : *p);
	}
}

/* The next "--word" in *args, which moves behind it; empty at the end. */
static struct slice
next_option(const char **args)
{
	const char *p = strstr(*args, "--");
	size_t n;

	if (p == NULL)
		return SLICE_EMPTY;
	n = strcspn(p, " ]|=");
	*args = p + n;
	return slice(p, n);
}

static void
print_options(const struct command *c)
{
	const char *args = c->args;

	for (struct slice o; (o = next_option(&args)).n > 0;)
		printf("%.*s ", (int)o.n, o.p);
}

/* --- bash and zsh, whose scripts have the same shape --- */

struct shell {
	const char *head;        /* up to the nouns */
	const char *after_nouns; /* up to the cases of the second word */
	const char *choice;      /* a case: before its words */
	const char *end_choice;
	const char *after_seconds; /* up to the cases of the options */
	const char *tail;
};

static const struct shell bash = {
	"# bash completion of pneu: eval \"$(pneu completion bash)\"\n"
	"_pneu()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} at=1 words=\n"
	"\twhile [[ ${COMP_WORDS[at]} == -* ]] && (( at < COMP_CWORD )); do\n"
	"\t\t[[ ${COMP_WORDS[at]} == -c ]] && (( at++ ))\n"
	"\t\t(( at++ ))\n"
	"\tdone\n"
	"\tif (( at == COMP_CWORD )); then\n"
	"\t\twords=\"",
	"\"\n"
	"\telif (( at + 1 == COMP_CWORD )); then\n"
	"\t\tcase ${COMP_WORDS[at]} in\n",
	"words=\"",
	"\" ;;\n",
	"\t\tesac\n"
	"\tfi\n"
	"\tif (( at < COMP_CWORD )) && [[ $cur == -* ]]; then\n"
	"\t\tcase \"${COMP_WORDS[at]} ${COMP_WORDS[at + 1]}\" in\n",
	"\t\tesac\n"
	"\tfi\n"
	"\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	"}\n"
	"complete -o default -F _pneu pneu\n",
};

static const struct shell zsh = {
	"#compdef pneu\n"
	"# zsh completion of pneu: eval \"$(pneu completion zsh)\", or as the\n"
	"# file _pneu in a folder of $fpath\n"
	"_pneu()\n"
	"{\n"
	"\tlocal at=2 cur=${words[CURRENT]}\n"
	"\tlocal -a reply\n"
	"\twhile [[ ${words[at]} == -* ]] && (( at < CURRENT )); do\n"
	"\t\t[[ ${words[at]} == -c ]] && (( at++ ))\n"
	"\t\t(( at++ ))\n"
	"\tdone\n"
	"\tif (( at == CURRENT )); then\n"
	"\t\treply=(",
	")\n"
	"\telif (( at + 1 == CURRENT )); then\n"
	"\t\tcase ${words[at]} in\n",
	"reply=(",
	") ;;\n",
	"\t\tesac\n"
	"\tfi\n"
	"\tif (( at < CURRENT )) && [[ $cur == -* ]]; then\n"
	"\t\tcase \"${words[at]} ${words[at + 1]}\" in\n",
	"\t\tesac\n"
	"\tfi\n"
	"\tif (( $#reply )); then compadd -- $reply; else _files; fi\n"
	"}\n"
	"if [[ $funcstack[1] == _pneu ]]; then _pneu; else compdef _pneu pneu; "
	"fi\n",
};

static void
print_second_cases(const struct shell *sh)
{
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (!is_first_of_noun(c) || !has_seconds(c))
			continue;
		printf(
		    "\t\t%.*s) %s", (int)first_word(c).n, c->name, sh->choice);
		print_seconds(first_word(c));
		fputs(sh->end_choice, stdout);
	}
}

static void
print_option_cases(const struct shell *sh)
{
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (strstr(c->args, "--") == NULL)
			continue;
		printf("\t\t\"%s%s) %s", c->name,
		    second_word(c) != NULL ? "\"" : " \"*", sh->choice);
		print_options(c);
		fputs(sh->end_choice, stdout);
	}
}

static void
print_shell(const struct shell *sh)
{
	fputs(sh->head, stdout);
	print_nouns();
	fputs(sh->after_nouns, stdout);
	print_second_cases(sh);
	fputs(sh->after_seconds, stdout);
	print_option_cases(sh);
	fputs(sh->tail, stdout);
}

/* --- fish: one line for each word --- */

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

#define FISH_SEEN "__fish_seen_subcommand_from "

static void
fish_noun(const struct command *c)
{
	struct slice noun = first_word(c);

	printf("complete -c pneu -n __fish_use_subcommand -f -a %.*s",
	    (int)noun.n, noun.p);
	if (second_word(c) == NULL) {
		printf(" -d ");
		fish_quoted(c->help);
	}
	putchar('\n');
	if (!has_seconds(c))
		return;
	printf("complete -c pneu -n '" FISH_SEEN "%.*s; and not " FISH_SEEN,
	    (int)noun.n, noun.p);
	print_seconds(noun);
	printf("' -f -a '");
	print_seconds(noun);
	printf("'\n");
}

static void
fish_options(const struct command *c)
{
	const char *args = c->args;

	for (struct slice o; (o = next_option(&args)).n > 0;) {
		printf("complete -c pneu -n '" FISH_SEEN "%.*s",
		    (int)first_word(c).n, c->name);
		if (second_word(c) != NULL)
			printf("; and " FISH_SEEN "%s", second_word(c));
		printf("' -l %.*s\n", (int)o.n - 2, o.p + 2);
	}
}

static void
print_fish(void)
{
	puts("# fish completion of pneu: ~/.config/fish/completions/pneu.fish\n"
	     "complete -c pneu -s c -l config -r -d 'Configuration file'");
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (is_first_of_noun(c))
			fish_noun(c);
		fish_options(c);
	}
}

int
cmd_completion(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	if (argc != 2)
		return command_usage();
	if (strcmp(argv[1], "bash") == 0)
		print_shell(&bash);
	else if (strcmp(argv[1], "zsh") == 0)
		print_shell(&zsh);
	else if (strcmp(argv[1], "fish") == 0)
		print_fish();
	else
		return command_usage();
	return EX_OK;
}
