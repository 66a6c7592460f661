#include "tiers/console/manual.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

/* What stands before the command, for all forms; docs/CONSOLE.md explains them. */
static const struct {
    const char *name, *value, *help;
} globals[] = {
    {"config", "FILE", "the mesh's configuration"},
    {"context", "NAME", "a mesh by its name"},
    {"json", NULL, "JSON instead of text"},
    {"read-only", NULL, "refuse commands that act (exit 6)"},
    {"via", "SECTOR", "ask this sector instead of the orchestrator"},
    {"wait", "SECONDS", "how long to wait for a connection and an answer"},
};
#define GLOBALS (sizeof globals / sizeof *globals)

static const struct parameter *parameter_at(const struct command_spec *c, size_t i)
{
    return i < COMMAND_PARAMETERS_MAX && c->parameters[i].name ? &c->parameters[i] : NULL;
}

/* --- man ------------------------------------------------------------------------------------- */

/* Text as roff: a hyphen is a hyphen, a line never begins with a request. */
static void roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void head(FILE *out, const char *name, const char *summary)
{
    fputs(".TH \"", out);
    for (const char *c = name; *c; c++)
        fputc(toupper((unsigned char)*c), out);
    fputs("\" 1 \"\" \"MESH-30K\" \"User commands\"\n.SH NAME\n", out);
    roff(out, name);
    fputs(" \\- ", out);
    roff(out, summary);
    fputs("\n.SH SYNOPSIS\n", out);
}

static void man_parameter(FILE *out, const struct parameter *p)
{
    fputs(".TP\n", out);
    fprintf(out, ".B %s", p->flag ? "\\-\\-" : "");
    roff(out, p->name);
    if (p->value_name) {
        fputc(' ', out);
        roff(out, p->value_name);
    }
    fputc('\n', out);
    roff(out, p->help ? p->help : "");
    if (p->choices) {
        fputs(": ", out);
        roff(out, p->choices);
    }
    fputc('\n', out);
}

static void man_rules(FILE *out, const struct command_spec *c)
{
    size_t count, shown = 0;
    const struct command_rule *rules = command_rules(&count);
    for (size_t i = 0; i < count; i++) {
        char text[300];
        if (!command_rule_concerns(&rules[i], c))
            continue;
        command_rule_text(&rules[i], c, text, sizeof text);
        fputs(shown++ == 0 ? ".SH WHAT GOES TOGETHER\n.TP\n" : ".TP\n", out);
        roff(out, text);
        fputc('\n', out);
        roff(out, rules[i].why);
        fputc('\n', out);
    }
}

static void man_command(FILE *out, const struct command_spec *c)
{
    char name[64], usage[2048];
    snprintf(name, sizeof name, "mesh-%s", c->name);
    command_usage(c, usage, sizeof usage);
    head(out, name, c->summary);
    fputs(".B mesh\n", out);
    roff(out, usage);
    fputs("\n.SH DESCRIPTION\n", out);
    roff(out, c->summary);
    fprintf(out, ".\n%s\n",
            c->changes ? "It acts: a console in read\\-only mode refuses it." : "It only reads.");
    if (parameter_at(c, 0))
        fputs(".SH OPTIONS\n", out);
    for (size_t i = 0; parameter_at(c, i); i++)
        man_parameter(out, parameter_at(c, i));
    man_rules(out, c);
    if (c->examples[0])
        fputs(".SH EXAMPLES\n.nf\n", out);
    for (size_t i = 0; i < COMMAND_EXAMPLES_MAX && c->examples[i]; i++) {
        fputs("mesh ", out);
        roff(out, c->examples[i]);
        fputc('\n', out);
    }
    fprintf(out, "%s.SH SEE ALSO\nmesh(1)\n", c->examples[0] ? ".fi\n" : "");
}

void manual_man(FILE *out, const struct command_spec *one)
{
    size_t count;
    const struct command_spec *table = command_table(&count);
    assert(out);
    if (one) {
        man_command(out, one);
        return;
    }
    head(out, "mesh", "command tens of thousands of agents as one machine");
    fputs(".B mesh\n", out);
    for (size_t i = 0; i < GLOBALS; i++)
        fprintf(out, "[\\-\\-%s%s%s]\n", globals[i].name, globals[i].value ? " " : "",
                globals[i].value ? globals[i].value : "");
    fputs("[COMMAND ..]\n.SH DESCRIPTION\n"
          "Without a command: a prompt on a terminal, else a script from stdin.\n.SH OPTIONS\n",
          out);
    for (size_t i = 0; i < GLOBALS; i++) {
        fprintf(out, ".TP\n.B \\-\\-%s%s%s\n", globals[i].name, globals[i].value ? " " : "",
                globals[i].value ? globals[i].value : "");
        roff(out, globals[i].help);
        fputc('\n', out);
    }
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, ".TP\n.B %s\n", table[i].name);
        roff(out, table[i].summary);
        fprintf(out, "\nSee mesh\\-%s(1).\n", table[i].name);
    }
    fputs(".SH EXIT STATUS\n0 ok, 1 failed, 2 usage, 3 partial, 4 nobody answered, 5 not found, "
          "6 refused, 7 held, 130 interrupted\n",
          out);
}

/* --- Shells ---------------------------------------------------------------------------------- */

/* Text between single quotes, for every shell here. */
static void quoted(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
}

static void choices(FILE *out, const char *list)
{
    for (; *list; list++)
        fputc(*list == '|' ? ' ' : *list, out);
}

/* Verbs, then what each takes: its flags, the choices of its first argument, those of its flags. */
void manual_bash(FILE *out)
{
    size_t count;
    const struct command_spec *table = command_table(&count);
    assert(out);
    fputs("# bash completion for mesh, written by `mesh manual bash`\n_mesh() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= i "
          "words=\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in\n"
          "            --config | --context | --via | --wait) ((i++)) ;;\n"
          "            -*) ;;\n"
          "            *) verb=${COMP_WORDS[i]}; break ;;\n"
          "        esac\n    done\n"
          "    case $verb in\n",
          out);
    fputs("        '') words='", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s ", table[i].name);
    for (size_t i = 0; i < GLOBALS; i++)
        fprintf(out, "--%s ", globals[i].name);
    fputs("' ;;\n", out);
    for (size_t i = 0; i < count; i++) {
        const struct parameter *p;
        fprintf(out, "        %s) words='--json ", table[i].name);
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++)
            if (p->flag)
                fprintf(out, "--%s ", p->name);
            else if (p->choices)
                choices(out, p->choices), fputc(' ', out);
        fputc('\'', out);
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++)
            if (p->flag && p->choices) {
                fprintf(out, "\n            [[ $before == --%s ]] && words='", p->name);
                choices(out, p->choices);
                fputc('\'', out);
            }
        fputs(" ;;\n", out);
    }
    fputs("    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n}\n"
          "complete -F _mesh mesh\n",
          out);
}

static void zsh_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr(":[]\\", *text))
            fputc('\\', out);
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    }
}

void manual_zsh(FILE *out)
{
    size_t count;
    const struct command_spec *table = command_table(&count);
    assert(out);
    fputs("#compdef mesh\n# zsh completion for mesh, written by `mesh manual zsh`\n"
          "_mesh() {\n    local -a verbs\n    verbs=(\n",
          out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "        '%s:", table[i].name);
        zsh_escaped(out, table[i].summary);
        fputs("'\n", out);
    }
    fputs("    )\n    _arguments -C ", out);
    for (size_t i = 0; i < GLOBALS; i++) {
        fprintf(out, "'--%s[", globals[i].name);
        zsh_escaped(out, globals[i].help);
        fprintf(out, "]%s%s' ", globals[i].value ? ":" : "",
                globals[i].value ? globals[i].value : "");
    }
    fputs(
        "'1: :->verb' '*:: :->rest'\n    case $state in\n"
        "        verb) _describe command verbs ;;\n        rest)\n            case $words[1] in\n",
        out);
    for (size_t i = 0; i < count; i++) {
        const struct parameter *p;
        fprintf(out, "                %s) _arguments '--json[JSON instead of text]'",
                table[i].name);
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++) {
            fputs(p->flag ? " '--" : " '", out);
            fputs(p->flag ? p->name : p->rest ? "*" : "", out);
            if (p->flag) {
                fputc('[', out);
                zsh_escaped(out, p->help ? p->help : "");
                fputc(']', out);
            }
            if (!p->flag || p->kind != PARAMETER_SWITCH) {
                fprintf(out, ":%s:", p->name);
                if (p->choices) {
                    fputc('(', out);
                    choices(out, p->choices);
                    fputc(')', out);
                }
            }
            fputc('\'', out);
        }
        fputs(" ;;\n", out);
    }
    fputs("            esac ;;\n    esac\n}\n_mesh \"$@\"\n", out);
}

void manual_fish(FILE *out)
{
    size_t count;
    const struct command_spec *table = command_table(&count);
    assert(out);
    fputs("# fish completion for mesh, written by `mesh manual fish`\n", out);
    for (size_t i = 0; i < GLOBALS; i++)
        fprintf(out, "complete -c mesh -n __fish_use_subcommand -l %s%s -d '%s'\n", globals[i].name,
                globals[i].value ? " -r" : "", globals[i].help);
    for (size_t i = 0; i < count; i++) {
        const struct parameter *p;
        fprintf(out, "complete -c mesh -f -n __fish_use_subcommand -a %s -d '", table[i].name);
        quoted(out, table[i].summary);
        fputs("'\n", out);
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++) {
            if (!p->flag && !p->choices)
                continue;
            fprintf(out, "complete -c mesh -f -n '__fish_seen_subcommand_from %s'", table[i].name);
            if (p->flag)
                fprintf(out, " -l %s%s", p->name, p->kind == PARAMETER_SWITCH ? "" : " -r");
            if (p->choices) {
                fputs(" -a '", out);
                choices(out, p->choices);
                fputc('\'', out);
            }
            fputs(" -d '", out);
            quoted(out, p->help ? p->help : "");
            fputs("'\n", out);
        }
    }
}
