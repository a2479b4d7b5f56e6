/* Runs a script on both halves of a ring with Xen's own macros.
 * Standard input: the first index, then one letter for each step. Standard output: one line for each step, with
 * what it gave and a hash of the page. See ring.rs, which does the same with our rings. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__
#define xen_mb() __sync_synchronize()
#define xen_wmb() __sync_synchronize()
#define xen_rmb() __sync_synchronize()
#include <xen/io/ring.h>

typedef struct { uint8_t byte[112]; } ask_t;
typedef struct { uint8_t byte[16]; } answer_t;
DEFINE_RING_TYPES(test, ask_t, answer_t);

static _Alignas(4096) uint8_t page[4096];

static unsigned long long hash(void)
{
    unsigned long long h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < sizeof(page); i++)
        h = (h ^ page[i]) * 0x100000001b3ULL;
    return h;
}

int main(void)
{
    test_sring_t *shared = (test_sring_t *)page;
    test_front_ring_t front;
    test_back_ring_t back;
    unsigned int start, filler = 0;
    char step;

    if (scanf("%u\n", &start) != 1)
        return 1;
    SHARED_RING_INIT(shared);
    shared->req_prod = shared->rsp_prod = start;
    shared->req_event = shared->rsp_event = start + 1;
    FRONT_RING_ATTACH(&front, shared, start, sizeof(page));
    BACK_RING_ATTACH(&back, shared, start, sizeof(page));

    while (scanf("%c", &step) == 1 && step != '\n') {
        long got = -1;
        int notify = 0, work = 0;
        ask_t ask;
        answer_t answer;

        filler = filler * 5 + 77;
        switch (step) {
        case 'P': /* front: put */
            if (!RING_FULL(&front)) {
                memset(&ask, (int)(filler & 255), sizeof(ask));
                *RING_GET_REQUEST(&front, front.req_prod_pvt) = ask;
                front.req_prod_pvt++;
                got = 1;
            }
            break;
        case 'p': /* front: publish */
            RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&front, notify);
            got = notify;
            break;
        case 'T': /* back: take */
            if (XEN_RING_NR_UNCONSUMED_REQUESTS(&back)) {
                RING_COPY_REQUEST(&back, back.req_cons, &ask);
                back.req_cons++;
                got = ask.byte[111];
            }
            break;
        case 'R': /* back: put, if a request is unanswered */
            if (back.req_cons != back.rsp_prod_pvt) {
                memset(&answer, (int)(filler & 255), sizeof(answer));
                *RING_GET_RESPONSE(&back, back.rsp_prod_pvt) = answer;
                back.rsp_prod_pvt++;
                got = 1;
            }
            break;
        case 'r': /* back: publish */
            RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&back, notify);
            got = notify;
            break;
        case 'C': /* front: take */
            if (XEN_RING_NR_UNCONSUMED_RESPONSES(&front)) {
                RING_COPY_RESPONSE(&front, front.rsp_cons, &answer);
                front.rsp_cons++;
                got = answer.byte[15];
            }
            break;
        case 'a': /* front: arm */
            RING_FINAL_CHECK_FOR_RESPONSES(&front, work);
            got = !!work;
            break;
        case 'b': /* back: arm */
            RING_FINAL_CHECK_FOR_REQUESTS(&back, work);
            got = !!work;
            break;
        default:
            return 1;
        }
        printf("%c %ld %016llx\n", step, got, hash());
    }
    return 0;
}
