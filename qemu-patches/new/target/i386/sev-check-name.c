/*
 * Emulated SEV platform: names for addresses in SEV guests, from files. See
 * sev-check.h.
 *
 * A line is one of
 *
 *     ADDRESS TYPE NAME      as in System.map, nm and /proc/kallsyms
 *     GUID NAME              of a firmware image, as in registry format
 *
 * Other lines are refused. A symbol lasts until the next one. Symbols of data
 * name nothing, but end what is before them; absolute ones are left out, since
 * they are no addresses.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/uuid.h"
#include "qapi/error.h"
#include "sev-check-internal.h"

typedef struct Symbol {
    uint64_t address;
    char *name;             /* NULL: what begins here is no code */
} Symbol;

static GArray *symbols;     /* by address */
static GHashTable *guids;   /* canonical text -> name */

static bool add_guid(char **words)
{
    QemuUUID uuid;

    if (qemu_uuid_parse(words[0], &uuid)) {
        return false;
    }
    g_hash_table_insert(guids, qemu_uuid_unparse_strdup(&uuid),
                        g_strdup(words[1]));
    return true;
}

static bool add_symbol(char **words, uint64_t *last)
{
    Symbol symbol = { 0 };
    char *end;

    symbol.address = g_ascii_strtoull(words[0], &end, 16);
    if (*end || !words[0][0] || strlen(words[1]) != 1) {
        return false;
    }
    if (strchr("aAU", words[1][0])) {
        return true;
    }
    if (strchr("tTwW", words[1][0])) {
        symbol.name = g_strdup(words[2]);
    }
    *last = MAX(*last, symbol.address);
    g_array_append_val(symbols, symbol);
    return true;
}

static bool add_line(const char *line, uint64_t *last)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", 4);
    unsigned n = g_strv_length(words);

    return !line[0] || (n == 2 && add_guid(words)) ||
           (n >= 3 && add_symbol(words, last));
}

static bool load_file(const char *path, Error **errp)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *content = NULL;
    g_auto(GStrv) lines = NULL;
    Symbol end = { 0 };

    if (!g_file_get_contents(path, &content, NULL, &error)) {
        error_setg(errp, "check-maps: %s", error->message);
        return false;
    }
    lines = g_strsplit(content, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        if (!add_line(lines[i], &end.address)) {
            error_setg(errp, "check-maps: %s:%u: neither a symbol nor a GUID",
                       path, i + 1);
            return false;
        }
    }
    if (end.address) {
        /* Behind a file's last symbol there is nothing that it knows. */
        end.address++;
        g_array_append_val(symbols, end);
    }
    return true;
}

static int by_address(gconstpointer a, gconstpointer b)
{
    const Symbol *x = a, *y = b;

    return x->address < y->address ? -1 : x->address > y->address;
}

bool sev_check_load_names(const char *files, Error **errp)
{
    g_auto(GStrv) paths = g_strsplit(files, ":", -1);

    symbols = g_array_new(false, false, sizeof(Symbol));
    guids = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; paths[i]; i++) {
        if (!load_file(paths[i], errp)) {
            return false;
        }
    }
    g_array_sort(symbols, by_address);
    return true;
}

/* The last symbol that is not above @address. */
static const Symbol *find_symbol(uint64_t address)
{
    unsigned low = 0, high = symbols->len;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (g_array_index(symbols, Symbol, middle).address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low ? &g_array_index(symbols, Symbol, low - 1) : NULL;
}

bool sev_check_symbol(uint64_t address, SevCheckName *name)
{
    const Symbol *symbol = symbols ? find_symbol(address) : NULL;

    if (!symbol || !symbol->name) {
        return false;
    }
    name->name = g_strdup(symbol->name);
    name->offset = address - symbol->address;
    return true;
}

char *sev_check_guid_name(const uint8_t guid[16])
{
    g_autofree char *text = NULL;
    QemuUUID uuid;
    const char *name;

    memcpy(&uuid, guid, sizeof(uuid));
    uuid = qemu_uuid_bswap(uuid);
    text = qemu_uuid_unparse_strdup(&uuid);
    name = guids ? g_hash_table_lookup(guids, text) : NULL;
    return g_strdup(name ?: text);
}
